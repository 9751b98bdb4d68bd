"""Prints what the api-server of the Airflow release that runs it serves beside the Execution API.

    $(scripts/airflow-env 3.3.2)/bin/python scripts/airflow-others.py

One path a line, as Starlette has it: the public API, the UI's own, sign-in and
static files. Nothing is served, and no database is needed.
"""

import contextlib
import os
import sys
import tempfile

with tempfile.TemporaryDirectory() as home, contextlib.redirect_stdout(sys.stderr):
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    import airflow
    from airflow.api_fastapi.app import create_app
    from starlette.routing import Mount

    paths = set()
    for route in create_app(apps="all").routes:
        if not isinstance(route, Mount):
            paths.add(route.path)
        elif route.path != "/execution":
            paths |= {route.path + below.path for below in getattr(route.app, "routes", None) or []}
            paths.add(route.path + "/{file:path}")

print(f"# Airflow {airflow.__version__}, what it serves beside the Execution API, as scripts/airflow-others.py reads it.")
print(*sorted(paths), sep="\n")
