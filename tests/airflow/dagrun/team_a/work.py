"""What the dags of one team do with the Execution API when all that they touch is theirs.

Each task fails if it gets anything else than what it should.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, Asset, BaseHook, Variable, get_current_context, task
from airflow.sdk.configuration import conf

ASSET = Asset("a_asset")
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)


def tried(context):
    """Runs, before Task SDK 1.4, after the attempt was reported: it is no longer the current one by then."""
    Variable.set("a_tried", Variable.get("global_var"))


with DAG("a_work", schedule=None, start_date=BEGIN):

    @task
    def variables():
        assert Variable.get("var_a") == "value of var_a"
        assert Variable.get("global_var") == "value of global_var"
        assert Variable.get("a_absent", default="none") == "none"
        Variable.set("a_new", "1")
        assert Variable.get("a_new") == "1"
        Variable.set("a_new", {"n": 2}, serialize_json=True)
        assert Variable.get("a_new", deserialize_json=True) == {"n": 2}
        assert "a_new" in Variable.keys("a_")
        assert "var_b" not in Variable.keys()
        Variable.delete("a_new")
        assert Variable.get("a_new", default="none") == "none"

    @task
    def connections():
        assert BaseHook.get_connection("conn_a").password == "of conn_a"
        assert BaseHook.get_connection("global_conn").password == "of global_conn"

    @task
    def numbers():
        get_current_context()["ti"].xcom_push("extra", {"k": "v"})
        return [1, 2, 3]

    @task
    def double(n):
        return 2 * n

    @task
    def total(doubled):
        ti = get_current_context()["ti"]
        assert len(doubled) == 3
        assert doubled[1] == 4
        assert list(doubled) == [2, 4, 6]
        assert list(doubled[1:]) == [4, 6]
        assert ti.xcom_pull(task_ids="numbers", key="extra") == {"k": "v"}
        assert ti.xcom_pull(task_ids="double", map_indexes=2) == 6
        assert list(ti.xcom_pull(task_ids="double")) == [2, 4, 6]

    @task(retries=1, retry_delay=timedelta(0), on_retry_callback=tried)
    def retried():
        ti = get_current_context()["ti"]
        ti.xcom_push("attempt", ti.try_number)
        if ti.try_number == 1:
            raise RuntimeError("once")

    @task
    def stores():
        store = get_current_context()["task_state_store"]
        store.set("job", "1")
        assert store.get("job") == "1"
        store.delete("job")
        assert store.get("job") is None

    @task(priority_weight=100)
    def outlives_its_token():
        time.sleep(conf.getint("execution_api", "jwt_expiration_time") + 2)
        assert Variable.get("var_a") == "value of var_a"
        return "done"

    @task
    def looks():
        context = get_current_context()
        ti, at = context["ti"], context["logical_date"]
        assert ti.get_ti_count("a_work", task_ids=["looks"], logical_dates=[at], states=["running"]) == 1
        assert ti.get_dr_count("a_work", logical_dates=[at], states=["running"]) == 1
        assert ti.get_dagrun_state("a_work", ti.run_id) == "running"
        states = ti.get_task_states("a_work", task_ids=["looks"], run_ids=[ti.run_id])
        assert states[ti.run_id]["looks"] == "running"
        assert ti.get_dag("a_work").dag_id == "a_work"
        list(ti.get_task_breadcrumbs("a_work", ti.run_id))
        ti.get_previous_dagrun()
        ti.get_previous_ti()
        str(context["prev_data_interval_start_success"])

    @task(outlets=[ASSET])
    def makes():
        get_current_context()["outlet_events"][ASSET].extra = {"rows": 1}

    rendered = BashOperator(
        task_id="rendered",
        bash_command="test '{{ var.value.var_a }} {{ conn.conn_a.password }} {{ ti.xcom_pull(task_ids='numbers') }}'"
        " = 'value of var_a of conn_a [1, 2, 3]'",
    )
    three = numbers()
    total(double.expand(n=three))
    three >> rendered
    variables(), connections(), retried(), stores(), outlives_its_token(), looks(), makes()
    HITLOperator(task_id="approved", subject="go on?", options=["yes", "no"])
    ShortCircuitOperator(task_id="skips", python_callable=lambda: False) >> EmptyOperator(task_id="skipped")

    child = {"trigger_dag_id": "a_child", "trigger_run_id": "{{ run_id }}", "logical_date": "{{ logical_date }}"}
    waiting = {"wait_for_completion": True, "poke_interval": 1}
    triggers = TriggerDagRunOperator(task_id="triggers", priority_weight=100, **child, **waiting)
    triggers >> TriggerDagRunOperator(task_id="clears", reset_dag_run=True, deferrable=True, **child, **waiting)
    ExternalTaskSensor(task_id="senses", external_dag_id="a_child", poke_interval=1)
    ExternalTaskSensor(task_id="senses_deferred", external_dag_id="a_child", deferrable=True, poke_interval=1)
    ExternalTaskSensor(
        task_id="senses_rescheduled",
        external_dag_id="a_child",
        external_task_id="rests",
        mode="reschedule",
        poke_interval=10,
    )

with DAG("a_child", schedule=None, start_date=BEGIN):

    @task(execution_timeout=timedelta(minutes=2))
    def rests():
        """Ends after the sensors have made way, and the scheduler has heard of it.

        Airflow fails a task that is queued again before.
        """
        ti = get_current_context()["ti"]
        sensors = {"task_ids": ["senses_deferred", "senses_rescheduled"], "run_ids": [ti.run_id]}
        away = {"deferred", "up_for_reschedule", "success", "failed"}
        while not away.issuperset(ti.get_task_states("a_work", **sensors)[ti.run_id].values()):
            time.sleep(1)
        time.sleep(5)

    rests()

with DAG("a_on_asset", schedule=[ASSET], start_date=BEGIN):

    @task(inlets=[ASSET])
    def reads():
        context = get_current_context()
        assert context["triggering_asset_events"][ASSET][-1].extra == {"rows": 1}
        assert context["inlet_events"][ASSET][-1].extra == {"rows": 1}

    reads()
