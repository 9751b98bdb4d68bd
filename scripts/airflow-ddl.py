"""Prints the tables that hold owners, as the Airflow release that runs it has them.

    $(scripts/airflow-env 3.3.2)/bin/python scripts/airflow-ddl.py mysql

DIALECT is postgresql, mysql or sqlite. It is what SQLAlchemy makes of Airflow's
own models, the id columns with the collation that Airflow gives them on MySQL.
Foreign keys to other tables are left out. No database is needed.
"""

import contextlib
import os
import re
import sys
import tempfile

from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

TABLES = [
    "team", "dag_bundle", "dag_bundle_team", "dag", "task_instance", "task_instance_history", "dynamic_region", "variable", "connection",
    "asset", "asset_active", "asset_alias", "asset_alias_asset", "asset_event", "asset_alias_asset_event",
]
DIALECTS = {"mysql": mysql, "postgresql": postgresql, "sqlite": sqlite}


def main(name):
    with tempfile.TemporaryDirectory() as home, contextlib.redirect_stdout(sys.stderr):
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        if name == "mysql":  # what models/base.py takes for a mysql:// connection
            os.environ["AIRFLOW__DATABASE__SQL_ENGINE_COLLATION_FOR_IDS"] = "utf8mb3_bin"
        from airflow.models import import_all_models
        from airflow.models.base import Base
        from airflow.utils.db import _REVISION_HEADS_MAP
        from airflow.version import version as release

        import_all_models()
    dialect = DIALECTS[name].dialect()
    tables = [table for table in Base.metadata.sorted_tables if table.name in TABLES]
    print(f"-- The tables that hold owners, as the models of Airflow {release} create them on {name}; scripts/airflow-ddl.py made it.")
    for table in tables:
        inside = [key for key in table.foreign_key_constraints if key.referred_table in tables]
        statements = [CreateTable(table, include_foreign_key_constraints=inside)]
        statements += [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: index.name)]
        for statement in statements:
            text = str(statement.compile(dialect=dialect)).strip()
            print("\n" + re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE) + ";")
    print("\nCREATE TABLE alembic_version (\n\tversion_num VARCHAR(32) NOT NULL PRIMARY KEY\n);")
    print(f"\nINSERT INTO alembic_version (version_num) VALUES ('{list(_REVISION_HEADS_MAP.values())[-1]}');")


if __name__ == "__main__":
    main(*sys.argv[1:])
