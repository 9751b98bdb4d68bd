-- The tables that hold owners, as the models of Airflow 3.1.8 create them on sqlite
-- (SQLAlchemy's CreateTable), less the columns and constraints that play no part here.

CREATE TABLE team (
    id CHAR(32) NOT NULL,
    name VARCHAR(50) NOT NULL,
    CONSTRAINT team_pkey PRIMARY KEY (id),
    CONSTRAINT team_name_uq UNIQUE (name)
);

CREATE TABLE dag_bundle (
    name VARCHAR(250) NOT NULL,
    active BOOLEAN,
    CONSTRAINT dag_bundle_pkey PRIMARY KEY (name)
);

CREATE TABLE dag (
    dag_id VARCHAR(250) NOT NULL,
    is_paused BOOLEAN,
    fileloc VARCHAR(2000),
    bundle_name VARCHAR(250) NOT NULL,
    CONSTRAINT dag_pkey PRIMARY KEY (dag_id),
    CONSTRAINT dag_bundle_name_fkey FOREIGN KEY(bundle_name) REFERENCES dag_bundle (name)
);

CREATE TABLE dag_bundle_team (
    dag_bundle_name VARCHAR(250) NOT NULL,
    team_id CHAR(32) NOT NULL,
    CONSTRAINT dag_bundle_team_pkey PRIMARY KEY (dag_bundle_name, team_id),
    CONSTRAINT dag_bundle_team_dag_bundle_name_fkey FOREIGN KEY(dag_bundle_name) REFERENCES dag_bundle (name) ON DELETE CASCADE,
    CONSTRAINT dag_bundle_team_team_id_fkey FOREIGN KEY(team_id) REFERENCES team (id) ON DELETE CASCADE
);

CREATE TABLE task_instance (
    id VARCHAR(36) NOT NULL,
    task_id VARCHAR(250) NOT NULL,
    dag_id VARCHAR(250) NOT NULL,
    run_id VARCHAR(250) NOT NULL,
    map_index INTEGER DEFAULT (-1) NOT NULL,
    state VARCHAR(20),
    CONSTRAINT task_instance_pkey PRIMARY KEY (id),
    CONSTRAINT task_instance_composite_key UNIQUE (dag_id, task_id, run_id, map_index)
);

CREATE TABLE task_instance_history (
    task_instance_id VARCHAR(36) NOT NULL,
    task_id VARCHAR(250) NOT NULL,
    dag_id VARCHAR(250) NOT NULL,
    run_id VARCHAR(250) NOT NULL,
    map_index INTEGER DEFAULT (-1) NOT NULL,
    try_number INTEGER NOT NULL,
    state VARCHAR(20),
    CONSTRAINT task_instance_history_pkey PRIMARY KEY (task_instance_id),
    CONSTRAINT task_instance_history_ti_fkey FOREIGN KEY(dag_id, task_id, run_id, map_index) REFERENCES task_instance (dag_id, task_id, run_id, map_index) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT task_instance_history_dtrt_uq UNIQUE (dag_id, task_id, run_id, map_index, try_number)
);

CREATE TABLE variable (
    id INTEGER NOT NULL,
    "key" VARCHAR(250),
    val TEXT,
    description TEXT,
    team_id CHAR(32),
    CONSTRAINT variable_pkey PRIMARY KEY (id),
    CONSTRAINT variable_key_uq UNIQUE ("key"),
    CONSTRAINT variable_team_id_fkey FOREIGN KEY(team_id) REFERENCES team (id)
);

CREATE TABLE connection (
    id INTEGER NOT NULL,
    conn_id VARCHAR(250) NOT NULL,
    conn_type VARCHAR(500) NOT NULL,
    host VARCHAR(500),
    password TEXT,
    team_id CHAR(32),
    CONSTRAINT connection_pkey PRIMARY KEY (id),
    CONSTRAINT connection_conn_id_uq UNIQUE (conn_id),
    CONSTRAINT connection_team_id_fkey FOREIGN KEY(team_id) REFERENCES team (id)
);

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL PRIMARY KEY
);

INSERT INTO alembic_version (version_num) VALUES ('509b94a1042d');
