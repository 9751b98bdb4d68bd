"""Team B's own dag, for which team A reaches."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseHook, Variable, get_current_context, task

with DAG("b_work", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)):

    @task
    def answer():
        new = f"b_new_{get_current_context()['run_id']}"  # team A may run it again meanwhile
        Variable.set(new, "1")
        assert Variable.get(new) == "1"
        Variable.delete(new)
        assert BaseHook.get_connection("conn_b").password == "of conn_b"
        assert BaseHook.get_connection("global_conn").password == "of global_conn"
        return [Variable.get("var_b")]

    @task
    def reads(value):
        assert value == "value of var_b"

    reads.expand(value=answer())

# Nothing of it is ever run: what senses it waits until the test calls its run a success.
with DAG("b_later", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), is_paused_upon_creation=True):
    EmptyOperator(task_id="rests")
