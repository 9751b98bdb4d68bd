-- The tables that hold owners, as the models of Airflow 3.3.2 create them on mysql
-- (SQLAlchemy's CreateTable), less the columns and constraints that play no part here.

CREATE TABLE team (
    name VARCHAR(50) NOT NULL,
    CONSTRAINT team_pkey PRIMARY KEY (name)
);

CREATE TABLE dag_bundle (
    name VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
    active BOOL,
    CONSTRAINT dag_bundle_pkey PRIMARY KEY (name)
);

CREATE TABLE dag (
    dag_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
    is_paused BOOL NOT NULL,
    fileloc VARCHAR(2000),
    bundle_name VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
    CONSTRAINT dag_pkey PRIMARY KEY (dag_id),
    CONSTRAINT dag_bundle_name_fkey FOREIGN KEY(bundle_name) REFERENCES dag_bundle (name)
);

CREATE TABLE dag_bundle_team (
    dag_bundle_name VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
    team_name VARCHAR(50) NOT NULL,
    CONSTRAINT dag_bundle_team_pkey PRIMARY KEY (dag_bundle_name, team_name),
    CONSTRAINT dag_bundle_team_dag_bundle_name_fkey FOREIGN KEY(dag_bundle_name) REFERENCES dag_bundle (name) ON DELETE CASCADE,
    CONSTRAINT dag_bundle_team_team_name_fkey FOREIGN KEY(team_name) REFERENCES team (name) ON DELETE CASCADE
);

CREATE TABLE task_instance (
    id CHAR(32) NOT NULL,
    task_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
    dag_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
    run_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
    map_index INTEGER NOT NULL DEFAULT '-1',
    state VARCHAR(20),
    CONSTRAINT task_instance_pkey PRIMARY KEY (id),
    CONSTRAINT task_instance_composite_key UNIQUE (dag_id, task_id, run_id, map_index)
);

CREATE TABLE task_instance_history (
    task_instance_id CHAR(32) NOT NULL,
    task_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
    dag_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
    run_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
    map_index INTEGER NOT NULL DEFAULT '-1',
    try_number INTEGER NOT NULL,
    state VARCHAR(20),
    CONSTRAINT task_instance_history_pkey PRIMARY KEY (task_instance_id),
    CONSTRAINT task_instance_history_ti_fkey FOREIGN KEY(dag_id, task_id, run_id, map_index) REFERENCES task_instance (dag_id, task_id, run_id, map_index) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT task_instance_history_dtrt_uq UNIQUE (dag_id, task_id, run_id, map_index, try_number)
);

CREATE TABLE variable (
    id INTEGER NOT NULL AUTO_INCREMENT,
    `key` VARCHAR(250) NOT NULL,
    val MEDIUMTEXT NOT NULL,
    description TEXT,
    team_name VARCHAR(50),
    CONSTRAINT variable_pkey PRIMARY KEY (id),
    CONSTRAINT variable_key_uq UNIQUE (`key`),
    CONSTRAINT variable_team_name_fkey FOREIGN KEY(team_name) REFERENCES team (name) ON DELETE SET NULL
);

CREATE TABLE connection (
    id INTEGER NOT NULL AUTO_INCREMENT,
    conn_id VARCHAR(250) NOT NULL,
    conn_type VARCHAR(500) NOT NULL,
    host VARCHAR(500),
    team_name VARCHAR(50),
    password TEXT,
    CONSTRAINT connection_pkey PRIMARY KEY (id),
    CONSTRAINT connection_conn_id_uq UNIQUE (conn_id),
    CONSTRAINT connection_team_name_fkey FOREIGN KEY(team_name) REFERENCES team (name) ON DELETE SET NULL
);

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL PRIMARY KEY
);

INSERT INTO alembic_version (version_num) VALUES ('d2f4e1b3c5a7');
