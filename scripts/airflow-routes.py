"""Prints the endpoints of the Execution API of the Airflow release that runs it.

    $(scripts/airflow-env 3.3.2)/bin/python scripts/airflow-routes.py

One line each, in the order in which the release's routers try them, with tabs
between the columns:

    method, path   as Starlette has them
    since, until   the first and the last API version that has the endpoint in
                   this form; until is empty where the newest version has it
    query          its query parameters, with :int or :list where they are that
    scopes         the token scopes that it takes; empty where it needs no token
    self           "self" where the id in the path must be the token's subject

A line "# versions" names the API versions first. Everything is read from the
routers that the release builds, so that what its OpenAPI documents leave out is
here too. Nothing is served, and no database is needed.
"""

import contextlib
import inspect
import os
import sys
import tempfile
import types
import typing

from fastapi.params import Security
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel


def type_of(annotation):
    """What a scalar or list annotation is, below Annotated and Optional: "", ":int" or ":list"."""
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif origin in (typing.Union, types.UnionType):
            annotation = next(one for one in typing.get_args(annotation) if one is not type(None))
        else:
            break
    if (origin or annotation) in (list, set, frozenset, tuple):
        return ":list"
    return ":int" if annotation is int else ""


def query_of(dependant):
    """The query parameters of an endpoint and its dependencies; a model's are its fields."""
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            for name, part in annotation.model_fields.items():
                yield (part.alias or name) + type_of(part.annotation)
        else:
            yield field.alias + type_of(annotation)
    for dependency in dependant.dependencies:
        yield from query_of(dependency)


def security_of(route):
    """The token scopes that an endpoint takes, and whether it is the token's own (see security.py, before 3.2 deps.py)."""
    guarded, scopes = False, set()
    for dependency in route.dependencies:
        call = inspect.unwrap(dependency.dependency)
        if isinstance(call, HTTPBearer):
            guarded = True
            if getattr(call, "path_param_name", None):
                scopes.add("ti:self")
        elif getattr(call, "__name__", "") == "require_auth":
            guarded = True
            scopes.update(dependency.scopes or [] if isinstance(dependency, Security) else [])
    if not guarded:
        return "", ""
    tokens = sorted(scope.removeprefix("token:") for scope in scopes if scope.startswith("token:"))
    own = any(scope.endswith(":self") for scope in scopes)
    return ",".join(tokens or ["execution"]), "self" if own else ""


def rows_of(routes):
    """A row for each method of each route, in order."""
    for route in routes:
        about = "", "", ""  # of Cadwyn's own
        if isinstance(route, APIRoute):
            about = ",".join(sorted(set(query_of(route.dependant)))), *security_of(route)
        for method in sorted(route.methods):
            yield method, route.path, *about


def merge(versions, rows):
    """One row for what neighbouring versions have alike, in an order that each version's rows are in."""
    order, having = [], {}
    for version in versions:
        place = 0
        for row in rows[version]:
            if row not in having:
                having[row] = []
                order.insert(place, row)
            if order.index(row) < place - 1:
                sys.exit(f"airflow-routes: {row} comes before {order[place - 1]} in {version}, and behind it elsewhere")
            place = order.index(row) + 1
            having[row].append(version)
    for row in order:
        method, path, *about = row
        for since, until in spans(versions, having[row]):
            yield method, path, since, "" if until == versions[-1] else until, *about


def spans(versions, having):
    """The first and the last of each run of neighbouring versions."""
    places = [versions.index(version) for version in having]
    start = places[0]
    for here, after in zip(places, [*places[1:], None]):
        if after != here + 1:
            yield versions[start], versions[here]
            start = after


def main():
    with tempfile.TemporaryDirectory() as home, contextlib.redirect_stdout(sys.stderr):
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                       "AIRFLOW__API_AUTH__JWT_SECRET": "nothing is signed with this, nor verified by it, for there is no one to ask"}
        from airflow.api_fastapi.execution_api.app import create_task_execution_api_app
        from airflow.version import version as release

        app = create_task_execution_api_app()
        app._cadwyn_initialize()
        routers = {str(version): router for version, router in app.router.versioned_routers.items()}
        versions = sorted(routers)
        documents = list(rows_of(app.router.unversioned_routes))  # Cadwyn's own, which no version changes
        rows = {version: list(dict.fromkeys([*documents, *rows_of(routers[version].routes)])) for version in versions}
    print(f"# The Execution API of Airflow {release}, as scripts/airflow-routes.py reads it.")
    print(f"# versions: {' '.join(versions)}")
    print("\t".join(["method", "path", "since", "until", "query", "scopes", "self"]))
    for row in merge(versions, rows):
        print("\t".join(row))


if __name__ == "__main__":
    main()
