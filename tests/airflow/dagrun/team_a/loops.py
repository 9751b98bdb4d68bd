"""What Airflow has since 3.4: tasks in a loop, each pass of which is a region of its own, and callbacks with a token."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, SyncCallback, Variable, __version__, get_current_context, task, task_group
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference


def is_late():
    """Runs on a worker once the deadline of the run is missed, with a token of its own."""
    assert Variable.get("global_var") == "value of global_var"


def is_done(**context):
    return context["ti"].xcom_pull(task_ids="loop.total") == 3


if __version__ >= "1.4":
    late = DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=timedelta(0), callback=SyncCallback(is_late)
    )
    with DAG("a_loop", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), deadline=late):

        @task_group
        def loop():
            @task
            def plain():
                """Pushes and pulls by the map index that a client sees, which is -1 in each pass."""
                context = get_current_context()
                ti, index = context["ti"], context["loop"].index
                assert ti.map_index == -1
                assert context["loop"].previous == (None if index == 0 else index)
                ti.xcom_push("pushed", {"in": index})
                assert ti.xcom_pull(task_ids="loop.plain", key="pushed") == {"in": index}
                return [index, 1]

            @task
            def mapped(n):
                assert Variable.get("var_a") == "value of var_a"
                return n

            @task
            def total(numbers):
                return sum(numbers) + get_current_context()["loop"].index

            total(mapped.expand(n=plain()))

        @task
        def outside():
            assert list(get_current_context()["ti"].xcom_pull(task_ids="loop.total")) == [1, 3]

        loop.loop(max_iterations=3, until=is_done) >> outside()
