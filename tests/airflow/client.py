"""Asks with the Task SDK's own client, as a worker does, and writes down what it makes of the answers.

Usage: client.py URL TOKEN TASK_INSTANCE_ID FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx
from airflow.sdk.api.client import Client
from airflow.sdk.execution_time.comms import ErrorResponse

RUN = "manual__2026-01-01T00:00:00+00:00"


def outcome(call):
    """The kind of error that a caller of the SDK sees, or "ok"."""
    try:
        answer = call()
    except httpx.HTTPStatusError as error:
        return f"{type(error).__name__} {error.response.status_code}"
    return answer.error.name if isinstance(answer, ErrorResponse) else "ok"


def main(url, token, ti_id, file):
    client = Client(base_url=f"{url}/execution/", token=token)
    calls = {
        "own variable": lambda: client.variables.get("var_a"),
        "other team's variable": lambda: client.variables.get("var_b"),
        "missing variable": lambda: client.variables.get("no_such"),
        "write other team's variable": lambda: client.variables.set("b_put_by_sdk", "taken"),
        "own connection": lambda: client.connections.get("conn_a"),
        "other team's connection": lambda: client.connections.get("conn_b"),
        "missing connection": lambda: client.connections.get("no_such"),
        "other team's xcom": lambda: client.xcoms.get("dag_b", RUN, "t1", "return_value"),
        "count of other team's xcoms": lambda: client.xcoms.head("dag_b", RUN, "mapped", "return_value"),
        "write another task's xcom": lambda: client.xcoms.set("dag_a", RUN, "t2", "x_sdk", "forged"),
        "write own xcom": lambda: client.xcoms.set("dag_a", RUN, "t1", "x_sdk", "v"),
        "trigger other team's dag": lambda: client.dag_runs.trigger("dag_b", "by_sdk"),
        "trigger unknown dag": lambda: client.dag_runs.trigger("no_dag", "by_sdk"),
        "previous successful run": lambda: client.task_instances.get_previous_successful_dagrun(ti_id),
    }
    file.write_text(json.dumps({name: outcome(call) for name, call in calls.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]))
