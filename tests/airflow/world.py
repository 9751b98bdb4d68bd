"""Fills a migrated Airflow 3.3 metadata database with two teams, and mints their tasks' tokens.

Usage: world.py seed FILE   writes rows, and {"ids": {name: task instance id}, "tokens": {name: JWT}}
       world.py mint FILE   writes new tokens for the ids in FILE
To a file because Airflow logs to standard output.
"""

from __future__ import annotations

import json
import sys
import uuid
from datetime import datetime, timezone
from pathlib import Path

from airflow.api_fastapi.auth.tokens import JWTGenerator
from airflow.api_fastapi.execution_api.app import _jwt_generator
from airflow.models import Connection, TaskInstance, Variable
from airflow.models.asset import AssetActive, AssetAliasModel, AssetEvent, AssetModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.team import Team
from airflow.models.xcom import XComModel
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

BUNDLES = {"bundle_a": "team_a", "bundle_b": "team_b", "bundle_g": None}
DAGS = {"dag_a": "bundle_a", "dag_a2": "bundle_a", "dag_b": "bundle_b", "dag_g": "bundle_g"}
TASKS = ("t1", "t2", "start", "end", "retry")
DATES = (datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc))
# Those with put or delete in their name are there to be changed, by one test each.
VARIABLES = {
    "team_a": ("var_a", "a/b", "sp ace", "ключ", "100%", "a_put", "a_delete", "a/put", "a_put_by_g"),
    "team_b": ("var_b", "b/c", "pct%2Fkey", "b_put", "b/put", "b_delete", "b_put_by_sdk"),
    None: ("global_var", "keys", "global_put", "global_delete", "global_put_by_g"),
}
CONNECTIONS = {"team_a": "conn_a", "team_b": "conn_b", None: "global_conn"}


def add_owners(session):
    teams = {name: Team(name=name) for name in ("team_a", "team_b")}
    session.add_all(teams.values())
    for name, team in BUNDLES.items():
        bundle = DagBundleModel(name=name)
        bundle.teams = [teams[team]] if team else []
        session.add(bundle)
    session.flush()
    for team, keys in VARIABLES.items():
        session.add_all(Variable(key=key, val=f"value of {key}", team_name=team) for key in keys)
    for team, conn_id in CONNECTIONS.items():
        session.add(Connection(conn_id=conn_id, conn_type="http", password=f"of {conn_id}", team_name=team))
    session.add(AssetModel(name="asset", uri="s3://bucket/asset", extra={}, group="asset"))
    session.add(AssetActive(name="asset", uri="s3://bucket/asset"))
    session.add(AssetAliasModel(name="alias", group="asset"))
    session.flush()
    asset_id = session.scalar(select(AssetModel.id))
    session.add(AssetEvent(asset_id=asset_id, source_dag_id="dag_a", timestamp=DATES[0], extra={}))


def add_dag(session, dag_id, bundle):
    """A dag of plain tasks and one mapped over four values, with two runs."""
    with DAG(dag_id, schedule=None, start_date=DATES[0]) as dag:
        for task_id in TASKS:
            EmptyOperator(task_id=task_id, retries=2)
        EmptyOperator.partial(task_id="mapped").expand(doc=["0", "1", "2", "3"])
    SerializedDAG.bulk_write_to_db(bundle, None, [dag], session=session)
    data = DagSerialization.to_dict(dag)
    SerializedDagModel.write_dag(LazyDeserializedDAG(data=data), bundle, session=session)
    session.flush()
    for date in DATES:
        DagSerialization.from_dict(data).create_dagrun(
            run_id=f"manual__{date.isoformat()}",
            logical_date=date,
            data_interval=(date, date),
            run_after=date,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.SUCCESS if date == DATES[0] else DagRunState.RUNNING,
            session=session,
        )
    session.flush()


def put_to_work(session):
    """Gives each task instance a state and two XComs; returns the ids of those that tests act as."""
    ids = {}
    for ti in session.scalars(select(TaskInstance)):
        first = ti.run_id.startswith("manual__2026-01-01")
        ti.state = {"t2": TaskInstanceState.SUCCESS, "start": TaskInstanceState.QUEUED}.get(
            ti.task_id, TaskInstanceState.RUNNING
        )
        ti.start_date, ti.hostname, ti.pid, ti.try_number = DATES[0], "worker", 100, 1
        for key in ("return_value", "k/slash", "x_put", "x_delete"):
            XComModel.set(
                key=key,
                value=json.dumps(f"{ti.dag_id}.{ti.task_id}[{ti.map_index}]"),
                serialize=False,
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                task_id=ti.task_id,
                map_index=ti.map_index,
                session=session,
            )
        name = f"{ti.dag_id}.{ti.task_id}" + (f"[{ti.map_index}]" if ti.map_index >= 0 else "")
        ids[name if first else f"{name}@2"] = ti.id
        if ti.task_id == "retry" and first:
            # As a task that reports itself up for retry: it goes on under a new id.
            session.flush()
            ti.state = TaskInstanceState.UP_FOR_RETRY
            ti.prepare_db_for_next_try(session)
    session.flush()
    return ids


def mint(ids):
    generator = _jwt_generator()

    def token(by=generator, valid_for=None, **claims):
        return by.generate(extras=claims, valid_for=valid_for)

    def generator_like(**changes):
        settings = {"secret_key": generator._secret_key, "private_key": generator._private_key}
        settings |= {"audience": generator.audience, "valid_for": 600, "algorithm": generator.algorithm}
        return JWTGenerator(**(settings | changes))

    sub = ids["dag_a.t1"]
    tokens = {name: token(sub=id, scope="execution") for name, id in ids.items()}
    tokens |= {f"workload:{name}": token(sub=id, scope="workload") for name, id in ids.items()}
    tokens |= {
        "expired": token(sub=sub, scope="execution", valid_for=-60),
        "other audience": token(generator_like(audience="urn:other"), sub=sub, scope="execution"),
        "other scope": token(sub=sub, scope="admin"),
        "no scope": token(sub=sub),
        "upper case": token(sub=sub.upper(), scope="execution"),
        "no uuid": token(sub="dag_a.t1", scope="execution"),
    }
    if generator._secret_key:
        tokens["other secret"] = token(generator_like(secret_key="o" * 64), sub=sub, scope="execution")
        tokens["other algorithm"] = token(generator_like(algorithm="HS256"), sub=sub, scope="execution")
    return tokens


def main(command, file):
    if command == "seed":
        with create_session() as session:
            add_owners(session)
            for dag_id, bundle in DAGS.items():
                add_dag(session, dag_id, bundle)
            ids = {name: str(id) for name, id in put_to_work(session).items()}
        ids["unknown"] = str(uuid.uuid4())
    else:
        ids = json.loads(file.read_text())["ids"]
    file.write_text(json.dumps({"ids": ids, "tokens": mint(ids)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
