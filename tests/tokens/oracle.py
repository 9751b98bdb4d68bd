"""Tells what a real Airflow's Execution API makes of an Authorization header.

    oracle.py SETTINGS

SETTINGS is a JSON file: for each validator's name, the environment variables of
an api-server that has it. Questions are JSON lines on standard input,

    {"validator": "secret", "header": "Bearer ...", "now": 1795319302.5}

with now null for the real time; each is answered by one line:

    {"ok": true, "sub": "0199f7c4-...", "scope": "execution"}
    {"ok": false, "error": "..."}

The validators are those that the api-server makes of its settings, and they are
asked as it does for each request (execution_api/security.py, JWTBearer): the
split of the header, PyJWT, the models of the claims and the token. Not real are
the clock and the request. No database is needed, because none of it is looked up
there: the Execution API does not ask whether a token was revoked.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

# Airflow logs to standard output, from its import on: answers have it to themselves.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import jwt.api_jwt
import structlog
from airflow.api_fastapi.execution_api import security
from airflow.api_fastapi.execution_api.app import _jwt_validator
from fastapi import HTTPException
from starlette.requests import Request


class Clock(datetime):
    """What PyJWT reads the time from."""

    at = None

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) if cls.at is None else datetime.fromtimestamp(cls.at, tz)


class Services:
    """The api-server's container of services, with a validator in it."""

    def __init__(self, validator):
        self.validator = validator

    async def aget(self, _):
        return self.validator


@contextmanager
def environment(variables):
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def make(variables):
    with environment(variables):
        return Services(_jwt_validator())


def at_once(coroutine):
    """Runs what never waits for anything: keys come from files alone."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("the validator waits for something")


def ask(services, header):
    """The header arrives in UTF-8; servers hand it over in Latin-1."""
    request = Request({"type": "http", "headers": [(b"authorization", header.encode())]})
    try:
        token = at_once(security._jwt_bearer(request, services))
    except HTTPException as error:
        cause = error.__context__
        return {"ok": False, "error": f"{error.status_code} {type(cause).__name__ if cause else error.detail}: {cause}"}
    except Exception as error:  # 500
        return {"ok": False, "error": f"500 {type(error).__name__}: {error}"}
    if token.claims.scope not in security.VALID_TOKEN_TYPES:
        return {"ok": False, "error": "403 scope"}
    return {"ok": True, "sub": str(token.id), "scope": token.claims.scope}


def main(settings):
    security.log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger("critical"))
    warnings.simplefilter("ignore")  # the tests' secrets are short
    jwt.api_jwt.datetime = Clock
    validators = {name: make(variables) for name, variables in settings.items()}
    for line in sys.stdin:
        question = json.loads(line)
        Clock.at = question["now"]
        answer = ask(validators[question["validator"]], question["header"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
