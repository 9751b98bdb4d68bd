"""Fills a migrated metadata database of Airflow 3.0 to 3.4 with two teams, and mints their tasks' tokens.

Usage: world.py seed FILE   writes rows, and {"ids": {name: task instance id}, "tokens": {name: JWT},
                            "owners": what the ownership file has to say beside the database}
       world.py mint FILE   writes new tokens for the ids in FILE
To a file because Airflow logs to standard output.
"""

from __future__ import annotations

import json
import sys
import uuid
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path

from airflow.api_fastapi.auth.tokens import JWTGenerator
from airflow.api_fastapi.execution_api.app import _jwt_generator
from airflow.models import Connection, TaskInstance, Variable
from airflow.models.asset import AssetActive, AssetAliasModel, AssetEvent, AssetModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.xcom import XComModel
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task_group
from airflow.serialization import serialized_objects
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import insert, select


def newer(module, name):
    """What only newer releases have, else None."""
    try:
        return getattr(import_module(module), name)
    except ImportError:
        return None


Team = newer("airflow.models.team", "Team")  # 3.1
HITLDetail = newer("airflow.models.hitl", "HITLDetail")  # 3.1
AssetStore = newer("airflow.models.asset_state_store", "AssetStateStoreModel")  # 3.3
TaskStore = newer("airflow.models.task_state_store", "TaskStateStoreModel")  # 3.3
ConnectionTest = newer("airflow.models.connection_test", "ConnectionTestRequest")  # 3.3
DynamicRegion = newer("airflow.models.dynamic_region", "DynamicRegion")  # 3.4
Callback = DynamicRegion and newer("airflow.models.callback", "Callback")  # of use to a token since 3.4
INDEX = "region_index" if DynamicRegion else "map_index"
# Until 3.1 one class is both.
SerializedDAG = newer("airflow.serialization.definitions.dag", "SerializedDAG") or serialized_objects.SerializedDAG
DagSerialization = getattr(serialized_objects, "DagSerialization", SerializedDAG)

BUNDLES = {"bundle_a": "team_a", "bundle_b": "team_b", "bundle_g": None}
DAGS = {
    "dag_a": "bundle_a",
    "dag_a2": "bundle_a",
    "dag_b": "bundle_b",
    "shared_b": "bundle_b",
    "triggered_b": "bundle_b",
    "dag_g": "bundle_g",
}
TASKS = ("t1", "t2", "start", "end", "retry")
DATES = (datetime(2026, 1, 1, tzinfo=timezone.utc), datetime(2026, 1, 2, tzinfo=timezone.utc))
# Those with put or delete in their name are there to be changed, by one test each.
VARIABLES = {
    "team_a": ("var_a", "a/b", "sp ace", "ключ", "100%", "a_put", "a_delete", "a/put", "a_put_by_g"),
    "team_b": ("var_b", "b/c", "pct%2Fkey", "b_put", "b/put", "b_delete", "b_put_by_sdk"),
    None: ("global_var", "keys", "global_put", "global_delete", "global_put_by_g"),
}
CONNECTIONS = {"team_a": "conn_a", "team_b": "conn_b", None: "global_conn"}
ASSETS = {"asset_a": "team_a", "asset_b": "team_b", "asset_shared": "team_b", "asset": None}

GRANTS = [
    {"to": "team_a", "dags": "shared_b"},
    {"to": "team_a", "dags": "trigger*", "access": "trigger"},
    {"to": "team_a", "assets": ["asset_shared", "s3://bucket/asset_sh*"]},
]


def add_owners(session):
    """Writes what teams own, and returns what the database has no place for."""
    by_id = hasattr(Variable, "team_id")  # 3.1
    teams = {}
    for name in ("team_a", "team_b") if Team else ():
        teams[name] = Team(id=uuid.uuid4(), name=name) if by_id else Team(name=name)
    session.add_all(teams.values())
    session.flush()

    def of(team):
        """The column of a row that names its team."""
        if by_id:
            return {"team_id": teams[team].id if team else None}
        return {"team_name": team} if Team else {}

    for name, team in BUNDLES.items():
        bundle = DagBundleModel(name=name)
        if team and Team:
            bundle.teams = [teams[team]]
        session.add(bundle)
    for team, keys in VARIABLES.items():
        session.add_all(Variable(key=key, val=f"value of {key}", **of(team)) for key in keys)
    for team, conn_id in CONNECTIONS.items():
        session.add(Connection(conn_id=conn_id, conn_type="http", password=f"of {conn_id}", **of(team)))
    owners = {"assets": add_assets(session), "grants": GRANTS}
    if not Team:
        owners["bundles"] = {name: team for name, team in BUNDLES.items() if team}
        owners["variables"] = {key: team for team, keys in VARIABLES.items() if team for key in keys}
        owners["connections"] = {conn_id: team for team, conn_id in CONNECTIONS.items() if team}
    return owners


def add_assets(session):
    """An asset and an alias for each team and for nobody. Airflow lets nobody own one; returns who does."""
    owners = {}
    for name, team in ASSETS.items():
        uri, alias = f"s3://bucket/{name}", name.replace("asset", "alias")
        asset = AssetModel(name=name, uri=uri, extra={}, group="asset")
        session.add_all([asset, AssetActive(name=name, uri=uri), AssetAliasModel(name=alias, group="asset")])
        session.flush()
        session.add(AssetEvent(asset_id=asset.id, source_dag_id="dag_a", timestamp=DATES[0], extra={}))
        if AssetStore:
            session.add(AssetStore(asset_id=asset.id, key="stored", value='"v"'))
        owners |= {name: team, uri: team, alias: team} if team else {}
    return owners


def add_dag(session, dag_id, bundle):
    """A dag of plain tasks and one mapped over four values, with two runs."""
    with DAG(dag_id, schedule=None, start_date=DATES[0]) as dag:
        for task_id in TASKS:
            EmptyOperator(task_id=task_id, retries=2)
        EmptyOperator.partial(task_id="mapped").expand(doc=["0", "1", "2", "3"])
        if DynamicRegion:
            define_loop()
    dag.relative_fileloc = f"{dag_id}.py"  # 3.0 wants one
    data = DagSerialization.to_dict(dag)
    stored = serialized_objects.LazyDeserializedDAG(data=data)
    SerializedDAG.bulk_write_to_db(bundle, None, [stored], session=session)
    SerializedDagModel.write_dag(stored, bundle, session=session)
    session.flush()
    for date in DATES:
        run = DagSerialization.from_dict(data).create_dagrun(
            run_id=f"manual__{date.isoformat()}",
            logical_date=date,
            data_interval=(date, date),
            run_after=date,
            start_date=date,  # until 3.1 a task can't start in a run without one
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.SUCCESS if date == DATES[0] else DagRunState.RUNNING,
            session=session,
        )
        if DynamicRegion:
            begin_second_pass(session, run)
    session.flush()


def define_loop():
    """A plain and a mapped task that run in two passes: each pass has them in a region of its own."""

    @task_group
    def loop():
        EmptyOperator(task_id="plain") >> EmptyOperator.partial(task_id="mapped").expand(doc=["0", "1"])

    loop.loop(max_iterations=2)


def begin_second_pass(session, run):
    """As the scheduler does, when the gate of the first pass goes on."""
    group = run.dag.task_group_dict["loop"]

    def in_run(task_id, index):
        of = TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id
        ti = session.scalars(
            select(TaskInstance).where(*of, TaskInstance.task_id == task_id, TaskInstance.region_index == index)
        ).one()
        ti.task = run.dag.get_task(task_id)
        return ti

    gate = in_run(group.gate_task_id, 0)
    run.complete_loop_gate(gate, group, TaskInstanceState.SUCCESS, stop=False, reason=None, session=session)
    session.flush()
    in_run("loop.mapped", -1).expand_mapped_task(session=session)


def name_of(session, ti):
    """The Dag, the task, the pass of the loop if it is in one, and the map index if it has one."""
    place = [ti.map_index] if ti.map_index >= 0 else []
    region = session.get(DynamicRegion, ti.region_id) if DynamicRegion else None
    if region and region.parent_region_index is not None:
        place.insert(0, region.parent_region_index)
    return f"{ti.dag_id}.{ti.task_id}" + "".join(f"[{index}]" for index in place)


def store_xcom(session, ti, key, value):
    if DynamicRegion:
        XComModel.set_for_attempt(task_instance_id=ti.id, key=key, value=value, session=session)
    else:
        of = {name: getattr(ti, name) for name in ("dag_id", "run_id", "task_id", "map_index")}
        XComModel.set(key=key, value=value, **of, session=session)


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
            store_xcom(session, ti, key, f"{ti.dag_id}.{ti.task_id}[{ti.map_index}]")
        if first:
            add_what_tasks_leave(session, ti)
        name = name_of(session, ti)
        ids[name if first else f"{name}@2"] = ti.id
        if ti.task_id == "retry" and first:
            # As a task that reports itself up for retry: it goes on under a new id.
            session.flush()
            ti.state = TaskInstanceState.UP_FOR_RETRY
            ti.prepare_db_for_next_try(session)
    session.flush()
    return ids


def add_what_tasks_leave(session, ti):
    """A question to a human by the task end; a stored value of t1; a connection test by t1's id, a callback by start's."""
    if ti.task_id == "end" and HITLDetail:
        session.add(HITLDetail(ti_id=ti.id, options=["yes", "no"], subject="?", params={}))
    if ti.task_id == "t1" and TaskStore:
        of = {name: getattr(ti, name) for name in ("dag_id", "run_id", "task_id", INDEX)}
        session.add(TaskStore(dag_run_id=ti.dag_run.id, key="stored", value='"v"', **of))
        test = ConnectionTest(connection_id=f"tested_by_{ti.dag_id}", conn_type="http")
        test.id = ti.id
        session.add(test)
    if ti.task_id == "start" and Callback:
        queued = {"type": "executor", "fetch_method": "import_path", "data": {}, "state": "queued", "priority_weight": 1}
        session.execute(insert(Callback.__table__).values(id=ti.id, **queued))


def mint(ids):
    generator = _jwt_generator()

    def token(by=generator, **claims):
        return by.generate(extras=claims)

    def generator_like(**changes):
        settings = {"secret_key": generator._secret_key, "private_key": generator._private_key}
        settings |= {name: getattr(generator, name) for name in ("issuer", "audience", "valid_for", "algorithm")}
        return JWTGenerator(**(settings | changes))

    sub = ids["dag_a.t1"]
    tokens = {name: token(sub=id, scope="execution") for name, id in ids.items()}
    for scope in ("workload", "callback"):
        tokens |= {f"{scope}:{name}": token(sub=id, scope=scope) for name, id in ids.items()}
    tokens |= {
        "expired": token(generator_like(valid_for=-60), sub=sub, scope="execution"),
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
            world = {"owners": add_owners(session)}
            for dag_id, bundle in DAGS.items():
                add_dag(session, dag_id, bundle)
            world["ids"] = {name: str(id) for name, id in put_to_work(session).items()}
        world["ids"]["unknown"] = str(uuid.uuid4())
    else:
        world = json.loads(file.read_text())
    file.write_text(json.dumps(world | {"tokens": mint(world["ids"])}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
