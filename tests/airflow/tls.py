"""Reads a variable through the Task SDK's own client. Usage: tls.py URL TOKEN, prints what came of it."""

from __future__ import annotations

import sys

from airflow.sdk.api.client import Client

try:
    print("OUTCOME", Client(base_url=sys.argv[1], token=sys.argv[2]).variables.get("var_a").value)
except Exception as error:
    print("OUTCOME", type(error).__name__, error)
