"""Tasks of team A that reach for what is team B's, each by one call."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, BaseHook, Variable, get_current_context, task
from airflow.sdk.execution_time.xcom import XCom

with DAG("a_reach", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):

    def reach(call):
        """A task named as the function, which gets the task instance, the run and its date."""

        @task(task_id=call.__name__)
        def reaches():
            context = get_current_context()
            call(context["ti"], context["run_id"], context["logical_date"])

        reaches()

    @reach
    def reads_variable(ti, run, at):
        Variable.get("var_b")

    @reach
    def reads_variable_or_default(ti, run, at):
        Variable.get("var_b", default="none")

    @reach
    def writes_variable(ti, run, at):
        Variable.set("b_put", "taken")

    @reach
    def deletes_variable(ti, run, at):
        Variable.delete("b_delete")

    @reach
    def reads_connection(ti, run, at):
        BaseHook.get_connection("conn_b")

    @reach
    def reads_xcom(ti, run, at):
        ti.xcom_pull(dag_id="b_work", task_ids="answer", run_id=run)

    @reach
    def reads_xcoms(ti, run, at):
        list(ti.xcom_pull(dag_id="b_work", task_ids=["answer"], run_id=run))

    @reach
    def writes_xcom(ti, run, at):
        XCom.set("return_value", "taken", dag_id="b_work", task_id="answer", run_id=run)

    @reach
    def writes_xcom_of_its_team(ti, run, at):
        XCom.set("return_value", "taken", dag_id="a_reach", task_id="reads_xcom", run_id=run)

    @reach
    def counts_runs(ti, run, at):
        ti.get_dr_count("b_work", logical_dates=[at])

    @reach
    def counts_tasks(ti, run, at):
        ti.get_ti_count("b_work", logical_dates=[at])

    @reach
    def asks_states(ti, run, at):
        ti.get_task_states("b_work", run_ids=[run])

    @reach
    def asks_run_state(ti, run, at):
        ti.get_dagrun_state("b_work", run)

    @reach
    def asks_breadcrumbs(ti, run, at):
        ti.get_task_breadcrumbs("b_work", run)

    @reach
    def asks_dag(ti, run, at):
        ti.get_dag("b_work")

    TriggerDagRunOperator(task_id="triggers", trigger_dag_id="b_work", trigger_run_id="taken_{{ run_id }}")
    TriggerDagRunOperator(task_id="clears", trigger_dag_id="b_work", trigger_run_id="{{ run_id }}", reset_dag_run=True)
    sensed = {"external_dag_id": "b_work", "poke_interval": 1, "timeout": 60}
    ExternalTaskSensor(task_id="senses", **sensed)
    ExternalTaskSensor(task_id="senses_task", external_task_id="answer", **sensed)
    # The triggerer asks for it, in a process that needs no Execution API: not behind the fence.
    ExternalTaskSensor(task_id="senses_deferred", deferrable=True, **sensed | {"external_dag_id": "b_later", "timeout": 600})
