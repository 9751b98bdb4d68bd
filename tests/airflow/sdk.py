"""Asks as a task on a worker does, and writes down what the Task SDK makes of the answers.

Usage: sdk.py TOKEN TASK_INSTANCE_ID FILE NAME=URL...   writes {name: {call: outcome}}

Client, supervisor, the messages between it and the task, and the secrets backends are the SDK's own, of the release
that runs this (1.0.6 to 1.4.0b2). An outcome begins with who was asked for a secret, "api" once for each request and
"spy" for the backend behind; what follows is the answer or the error that the caller gets.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import sys
import tempfile
import uuid
from pathlib import Path
from socket import socketpair

import structlog
from airflow.sdk import Connection, Variable, __version__
from airflow.sdk.api.client import Client
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import context, supervisor, task_runner
from airflow.sdk.execution_time.comms import CommsDecoder, ErrorResponse
from airflow.sdk.execution_time.supervisor import ActivitySubprocess, length_prefixed_frame_reader

try:
    from airflow.sdk.execution_time.secrets import ExecutionAPISecretsBackend
except ImportError:  # before 1.1.1 the Execution API was no backend, and was asked behind all of them
    ExecutionAPISecretsBackend = None

RUN = "manual__2026-01-01T00:00:00+00:00"
log = structlog.get_logger()
asked = tempfile.TemporaryFile(buffering=0)  # by the task's process and the supervisor's


class Asking(Client):
    def send(self, *args, **kwargs):
        asked.write(b"api ")
        return super().send(*args, **kwargs)


class Supervisor(ActivitySubprocess):
    """The SDK's own, which did not start its task."""

    def _check_subprocess_exit(self, *_, **__):
        return None


class Spy:
    """A secrets backend that checks nobody. It has no secret, so that it is seen whether the next one is asked."""

    def get_variable(self, key, **_):
        asked.write(b"spy ")

    def get_connection(self, conn_id, **_):
        asked.write(b"spy ")


def supervise(client, ti_id):
    """Starts a supervisor, which is another process as it is on a worker, and gives the task's side."""
    requests, task = socketpair()
    if os.fork():
        requests.close()
        return CommsDecoder(socket=task, log=log)
    task.close()
    watched = Supervisor(process_log=log, id=ti_id, pid=os.getppid(), stdin=requests, process=None, client=client)
    reader = length_prefixed_frame_reader(watched.handle_requests(log), on_close=lambda _: os._exit(0))
    watched.selector.register(requests, selectors.EVENT_READ, reader)
    while True:
        watched._service_subprocess(1.0)


def outcome(call):
    try:
        answer = call()
        if asyncio.iscoroutine(answer):
            answer = asyncio.run(answer)
    except AirflowRuntimeError as error:
        return f"{type(error).__name__} {error.error.error.name}"
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", "")
        return f"{type(error).__name__} {status}".strip()
    if isinstance(answer, ErrorResponse):
        return answer.error.name
    return "none" if answer is None else answer if isinstance(answer, str) else "ok"


def client_calls(client, ti_id, run_id):
    """What the supervisor does for a task."""
    return {
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
        "trigger other team's dag": lambda: client.dag_runs.trigger("dag_b", run_id),
        "trigger unknown dag": lambda: client.dag_runs.trigger("no_dag", run_id),
        "previous successful run": lambda: client.task_instances.get_previous_successful_dagrun(ti_id),
    }


def backend_calls(backend):
    """The Execution API as a secrets backend."""
    return {
        "backend: get_variable": lambda: backend.get_variable("var_b"),
        "backend: aget_variable": lambda: backend.aget_variable("var_b"),
        "backend: get_connection": lambda: backend.get_connection("conn_b"),
        "backend: aget_connection": lambda: backend.aget_connection("conn_b"),
    }


def chain_calls():
    """What a task calls, on whatever backends there are."""
    calls = {}
    for whose, variable, connection in (
        ("own", "var_a", "conn_a"),
        ("other's", "var_b", "conn_b"),
        ("missing", "no_such", "no_such"),
    ):
        calls[f"{whose}: _get_variable"] = lambda key=variable: context._get_variable(key, deserialize_json=False)
        calls[f"{whose}: _get_connection"] = lambda key=connection: context._get_connection(key)
        if asynchronous := getattr(context, "_async_get_connection", None):
            calls[f"{whose}: _async_get_connection"] = lambda key=connection: asynchronous(key)
    return calls


def stock_calls():
    """What a Dag's author writes, on the backends that a worker has."""
    return {
        "stock: Variable.get with a default": lambda: Variable.get("var_b", default="the default"),
        "stock: Connection.get": lambda: Connection.get("conn_b"),
    }


def secret_calls():
    """Each call that asks for a secret, with the backends in its way; None are those that a worker has."""
    for name, call in stock_calls().items():
        yield name, call, None
    backends = [Spy()]
    if ExecutionAPISecretsBackend:
        backends = [ExecutionAPISecretsBackend(), *backends]
        for name, call in backend_calls(backends[0]).items():
            yield name, call, None
    for name, call in chain_calls().items():
        yield name, call, backends


def ask(client, ti_id, run_id):
    outcomes = {name: outcome(call) for name, call in client_calls(client, ti_id, run_id).items()}
    stock = supervisor.ensure_secrets_backend_loaded
    for name, call, backends in secret_calls():
        supervisor.ensure_secrets_backend_loaded = (lambda: backends) if backends else stock
        before = asked.tell()
        got = outcome(call)
        asked.seek(before)
        outcomes[name] = f"{', '.join(asked.read().decode().split())}: {got}"
    supervisor.ensure_secrets_backend_loaded = stock
    return outcomes


def main(token, ti_id, file, *servers):
    worlds = {}
    for server in servers:
        name, _, url = server.partition("=")
        client = Asking(base_url=f"{url}/execution/", token=token)
        worlds[name] = client, supervise(client, uuid.UUID(ti_id))
    outcomes = {}
    for name, (client, comms) in worlds.items():
        task_runner.SUPERVISOR_COMMS = comms
        outcomes[name] = ask(client, ti_id, f"by_sdk_{__version__}")
    Path(file).write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
