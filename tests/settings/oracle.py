"""Tells what a real Airflow takes from an api-server's environment and airflow.cfg.

    oracle.py

Questions are JSON lines on standard input: variables of the environment, the text
of airflow.cfg, and the option that is asked for.

    {"option": "token leeway", "env": {"HOME": "/home/airflow"}, "cfg": "[api_auth]\\njwt_leeway = 30"}

Each is answered by one line: the value, that only a default says something, that
the option is there and empty, or that Airflow does not start with it.

    {"value": 30}
    {"unset": true}
    {"empty": true}
    {"error": "DuplicateOptionError"}

The values are those that the api-server's own code makes of its settings. No
command is run, and no secrets backend asked: that is {"error": "Indirect"}.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import sys
import tempfile

# Airflow logs to standard output, from its import on: answers have it to themselves.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import airflow.configuration
import attrs
from airflow._shared.configuration import parser
from airflow.api_fastapi import app
from airflow.api_fastapi.auth.tokens import JWTValidator
from airflow.configuration import conf


class Unset(Exception):
    """Only a default says something."""


class Indirect(Exception):
    """Airflow would run a command, or ask a secrets backend."""


def unset(**_):
    raise Unset


def indirect(*_):
    raise Indirect


conf._get_option_from_defaults = unset
conf._get_config_value_from_secret_backend = indirect
parser.run_command = indirect


def root_path_code():
    """The statements by which the api-server's module makes its root path."""
    wanted = [
        node for node in ast.parse(inspect.getsource(app)).body
        if isinstance(node, ast.Assign | ast.If) and "API_BASE_URL" in ast.unparse(node)
    ]
    return compile(ast.Module(wanted[:3], []), "app.py", "exec")


ROOT_PATH = root_path_code()


def base_path():
    """The path of the Execution API, where it is mounted at all."""
    names = {"conf": conf, "urlsplit": app.urlsplit, "AUTH_MANAGER_FASTAPI_APP_PREFIX": ""}
    exec(ROOT_PATH, names)
    root = names["API_ROOT_PATH"].removesuffix("/")
    if root and root[0] != "/":
        raise ValueError("no request's path begins so")
    return root + "/execution"


def whole(section, key):
    """As the validator converts its leeway."""
    return attrs.fields(JWTValidator).leeway.converter(conf.get(section, key))


OPTIONS = {
    "base_path": ("api", "base_url", lambda *_: base_path()),
    "multi_team": ("core", "multi_team", conf.getboolean),
    "token jwks": ("api_auth", "trusted_jwks_url", conf.get),
    "token public_key": ("api_auth", "jwt_private_key_path", conf.get),
    "token secret": ("api_auth", "jwt_secret", conf.get),
    "token algorithms": ("api_auth", "jwt_algorithm", conf.getlist),
    "token audience": ("execution_api", "jwt_audience", conf.get_mandatory_list_value),
    "token issuer": ("api_auth", "jwt_issuer", conf.get),
    "token leeway": ("api_auth", "jwt_leeway", whole),
    "database": ("database", "sql_alchemy_conn", conf.get),
}


def answer(question, path):
    os.environ.clear()
    os.environ.update(question["env"])
    os.environ["AIRFLOW_CONFIG"] = path
    conf._sections.clear()
    conf._proxies.clear()
    conf._defaults.clear()
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(question["cfg"])
    try:
        conf.read(airflow.configuration.get_airflow_config(airflow.configuration.get_airflow_home()))
        section, key, take = OPTIONS[question["option"]]
        if conf.get(section, key) == "":
            return {"empty": True}
        return {"value": take(section, key)}
    except Unset:
        return {"unset": True}
    except Exception as error:
        return {"error": type(error).__name__}


def main():
    with tempfile.TemporaryDirectory() as directory:
        for line in sys.stdin:
            json.dump(answer(json.loads(line), os.path.join(directory, "airflow.cfg")), answers)
            answers.write("\n")
            answers.flush()


main()
