-- The tables that hold owners, as the models of Airflow 3.1.8 create them on mysql; scripts/airflow-ddl.py made it.

CREATE TABLE asset (
	id INTEGER NOT NULL AUTO_INCREMENT,
	name VARCHAR(1500) COLLATE latin1_general_cs NOT NULL,
	uri VARCHAR(1500) COLLATE latin1_general_cs NOT NULL,
	`group` VARCHAR(1500) COLLATE latin1_general_cs NOT NULL,
	extra JSON NOT NULL,
	created_at TIMESTAMP(6) NOT NULL,
	updated_at TIMESTAMP(6) NOT NULL,
	CONSTRAINT asset_pkey PRIMARY KEY (id)
);

CREATE UNIQUE INDEX idx_asset_name_uri_unique ON asset (name, uri);

CREATE TABLE asset_alias (
	id INTEGER NOT NULL AUTO_INCREMENT,
	name VARCHAR(1500) COLLATE latin1_general_cs NOT NULL,
	`group` VARCHAR(1500) COLLATE latin1_general_cs NOT NULL,
	CONSTRAINT asset_alias_pkey PRIMARY KEY (id)
);

CREATE UNIQUE INDEX idx_asset_alias_name_unique ON asset_alias (name);

CREATE TABLE asset_event (
	id INTEGER NOT NULL AUTO_INCREMENT,
	asset_id INTEGER NOT NULL,
	extra JSON NOT NULL,
	source_task_id VARCHAR(250) COLLATE utf8mb3_bin,
	source_dag_id VARCHAR(250) COLLATE utf8mb3_bin,
	source_run_id VARCHAR(250) COLLATE utf8mb3_bin,
	source_map_index INTEGER DEFAULT -1,
	timestamp TIMESTAMP(6) NOT NULL,
	CONSTRAINT asset_event_pkey PRIMARY KEY (id)
);

CREATE INDEX idx_asset_id_timestamp ON asset_event (asset_id, timestamp);

CREATE TABLE dag_bundle (
	name VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	active BOOL,
	version VARCHAR(200),
	last_refreshed TIMESTAMP(6) NULL,
	signed_url_template TEXT,
	template_params TEXT,
	CONSTRAINT dag_bundle_pkey PRIMARY KEY (name)
);

CREATE TABLE team (
	id CHAR(32) NOT NULL,
	name VARCHAR(50) NOT NULL,
	CONSTRAINT team_pkey PRIMARY KEY (id),
	CONSTRAINT team_name_uq UNIQUE (name)
);

CREATE TABLE asset_active (
	name VARCHAR(1500) COLLATE latin1_general_cs NOT NULL,
	uri VARCHAR(1500) COLLATE latin1_general_cs NOT NULL,
	CONSTRAINT asset_active_pkey PRIMARY KEY (name, uri),
	CONSTRAINT asset_active_asset_name_uri_fkey FOREIGN KEY(name, uri) REFERENCES asset (name, uri) ON DELETE CASCADE
);

CREATE UNIQUE INDEX idx_asset_active_name_unique ON asset_active (name);

CREATE UNIQUE INDEX idx_asset_active_uri_unique ON asset_active (uri);

CREATE TABLE asset_alias_asset (
	alias_id INTEGER NOT NULL,
	asset_id INTEGER NOT NULL,
	CONSTRAINT asset_alias_asset_pkey PRIMARY KEY (alias_id, asset_id),
	CONSTRAINT asset_alias_asset_alias_id_fkey FOREIGN KEY(alias_id) REFERENCES asset_alias (id) ON DELETE CASCADE,
	CONSTRAINT asset_alias_asset_asset_id_fkey FOREIGN KEY(asset_id) REFERENCES asset (id) ON DELETE CASCADE
);

CREATE INDEX idx_asset_alias_asset_alias_id ON asset_alias_asset (alias_id);

CREATE INDEX idx_asset_alias_asset_asset_id ON asset_alias_asset (asset_id);

CREATE TABLE asset_alias_asset_event (
	alias_id INTEGER NOT NULL,
	event_id INTEGER NOT NULL,
	CONSTRAINT asset_alias_asset_event_pkey PRIMARY KEY (alias_id, event_id),
	CONSTRAINT asset_alias_asset_event_alias_id_fkey FOREIGN KEY(alias_id) REFERENCES asset_alias (id) ON DELETE CASCADE,
	CONSTRAINT asset_alias_asset_event_event_id_fkey FOREIGN KEY(event_id) REFERENCES asset_event (id) ON DELETE CASCADE
);

CREATE INDEX idx_asset_alias_asset_event_alias_id ON asset_alias_asset_event (alias_id);

CREATE INDEX idx_asset_alias_asset_event_event_id ON asset_alias_asset_event (event_id);

CREATE TABLE connection (
	id INTEGER NOT NULL AUTO_INCREMENT,
	conn_id VARCHAR(250) NOT NULL,
	conn_type VARCHAR(500) NOT NULL,
	description TEXT(5000),
	host VARCHAR(500),
	`schema` VARCHAR(500),
	login TEXT,
	password TEXT,
	port INTEGER,
	is_encrypted BOOL,
	is_extra_encrypted BOOL,
	team_id CHAR(32),
	extra TEXT,
	CONSTRAINT connection_pkey PRIMARY KEY (id),
	CONSTRAINT connection_conn_id_uq UNIQUE (conn_id),
	CONSTRAINT connection_team_id_fkey FOREIGN KEY(team_id) REFERENCES team (id)
);

CREATE TABLE dag (
	dag_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	is_paused BOOL,
	is_stale BOOL,
	last_parsed_time TIMESTAMP(6) NULL,
	last_parse_duration FLOAT,
	last_expired TIMESTAMP(6) NULL,
	fileloc VARCHAR(2000),
	relative_fileloc VARCHAR(2000),
	bundle_name VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	bundle_version VARCHAR(200),
	owners VARCHAR(2000),
	dag_display_name VARCHAR(2000),
	description TEXT,
	timetable_summary TEXT,
	timetable_description VARCHAR(1000),
	asset_expression JSON,
	deadline JSON,
	max_active_tasks INTEGER NOT NULL,
	max_active_runs INTEGER,
	max_consecutive_failed_dag_runs INTEGER NOT NULL,
	has_task_concurrency_limits BOOL NOT NULL,
	has_import_errors BOOL DEFAULT '0',
	next_dagrun TIMESTAMP(6) NULL,
	next_dagrun_data_interval_start TIMESTAMP(6) NULL,
	next_dagrun_data_interval_end TIMESTAMP(6) NULL,
	next_dagrun_create_after TIMESTAMP(6) NULL,
	CONSTRAINT dag_pkey PRIMARY KEY (dag_id),
	CONSTRAINT dag_bundle_name_fkey FOREIGN KEY(bundle_name) REFERENCES dag_bundle (name)
);

CREATE INDEX idx_next_dagrun_create_after ON dag (next_dagrun_create_after);

CREATE TABLE dag_bundle_team (
	dag_bundle_name VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	team_id CHAR(32) NOT NULL,
	CONSTRAINT dag_bundle_team_pkey PRIMARY KEY (dag_bundle_name, team_id),
	CONSTRAINT dag_bundle_team_dag_bundle_name_fkey FOREIGN KEY(dag_bundle_name) REFERENCES dag_bundle (name) ON DELETE CASCADE,
	CONSTRAINT dag_bundle_team_team_id_fkey FOREIGN KEY(team_id) REFERENCES team (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX idx_dag_bundle_team_dag_bundle_name ON dag_bundle_team (dag_bundle_name);

CREATE INDEX idx_dag_bundle_team_team_id ON dag_bundle_team (team_id);

CREATE TABLE variable (
	id INTEGER NOT NULL AUTO_INCREMENT,
	`key` VARCHAR(250),
	val MEDIUMTEXT,
	description TEXT,
	is_encrypted BOOL,
	team_id CHAR(32),
	CONSTRAINT variable_pkey PRIMARY KEY (id),
	CONSTRAINT variable_key_uq UNIQUE (`key`),
	CONSTRAINT variable_team_id_fkey FOREIGN KEY(team_id) REFERENCES team (id)
);

CREATE TABLE task_instance (
	id VARCHAR(36) NOT NULL,
	task_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	dag_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	run_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	map_index INTEGER NOT NULL DEFAULT -1,
	start_date TIMESTAMP(6) NULL,
	end_date TIMESTAMP(6) NULL,
	duration FLOAT,
	state VARCHAR(20),
	try_number INTEGER,
	max_tries INTEGER DEFAULT -1,
	hostname VARCHAR(1000),
	unixname VARCHAR(1000),
	pool VARCHAR(256) NOT NULL,
	pool_slots INTEGER NOT NULL,
	queue VARCHAR(256),
	priority_weight INTEGER,
	operator VARCHAR(1000),
	custom_operator_name VARCHAR(1000),
	queued_dttm TIMESTAMP(6) NULL,
	scheduled_dttm TIMESTAMP(6) NULL,
	queued_by_job_id INTEGER,
	last_heartbeat_at TIMESTAMP(6) NULL,
	pid INTEGER,
	executor VARCHAR(1000),
	executor_config BLOB,
	updated_at TIMESTAMP(6) NULL,
	rendered_map_index VARCHAR(250),
	context_carrier JSON,
	span_status VARCHAR(250) NOT NULL DEFAULT 'not_started',
	external_executor_id VARCHAR(250) COLLATE utf8mb3_bin,
	trigger_id INTEGER,
	trigger_timeout TIMESTAMP(6) NULL,
	next_method VARCHAR(1000),
	next_kwargs JSON,
	task_display_name VARCHAR(2000),
	dag_version_id CHAR(32),
	CONSTRAINT task_instance_pkey PRIMARY KEY (id),
	CONSTRAINT task_instance_composite_key UNIQUE (dag_id, task_id, run_id, map_index)
);

CREATE INDEX ti_dag_run ON task_instance (dag_id, run_id);

CREATE INDEX ti_dag_state ON task_instance (dag_id, state);

CREATE INDEX ti_heartbeat ON task_instance (last_heartbeat_at);

CREATE INDEX ti_pool ON task_instance (pool, state, priority_weight);

CREATE INDEX ti_state ON task_instance (state);

CREATE INDEX ti_state_lkp ON task_instance (dag_id, task_id, run_id, state);

CREATE INDEX ti_trigger_id ON task_instance (trigger_id);

CREATE TABLE task_instance_history (
	task_instance_id VARCHAR(36) NOT NULL,
	task_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	dag_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	run_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	map_index INTEGER NOT NULL DEFAULT -1,
	try_number INTEGER NOT NULL,
	start_date TIMESTAMP(6) NULL,
	end_date TIMESTAMP(6) NULL,
	duration FLOAT,
	state VARCHAR(20),
	max_tries INTEGER DEFAULT -1,
	hostname VARCHAR(1000),
	unixname VARCHAR(1000),
	pool VARCHAR(256) NOT NULL,
	pool_slots INTEGER NOT NULL,
	queue VARCHAR(256),
	priority_weight INTEGER,
	operator VARCHAR(1000),
	custom_operator_name VARCHAR(1000),
	queued_dttm TIMESTAMP(6) NULL,
	scheduled_dttm TIMESTAMP(6) NULL,
	queued_by_job_id INTEGER,
	pid INTEGER,
	executor VARCHAR(1000),
	executor_config BLOB,
	updated_at TIMESTAMP(6) NULL,
	rendered_map_index VARCHAR(250),
	context_carrier JSON,
	span_status VARCHAR(250) NOT NULL DEFAULT 'not_started',
	external_executor_id VARCHAR(250) COLLATE utf8mb3_bin,
	trigger_id INTEGER,
	trigger_timeout DATETIME,
	next_method VARCHAR(1000),
	next_kwargs JSON,
	task_display_name VARCHAR(2000),
	dag_version_id CHAR(32),
	CONSTRAINT task_instance_history_pkey PRIMARY KEY (task_instance_id),
	CONSTRAINT task_instance_history_ti_fkey FOREIGN KEY(dag_id, task_id, run_id, map_index) REFERENCES task_instance (dag_id, task_id, run_id, map_index) ON DELETE CASCADE ON UPDATE CASCADE,
	CONSTRAINT task_instance_history_dtrt_uq UNIQUE (dag_id, task_id, run_id, map_index, try_number)
);

CREATE INDEX idx_tih_dag_run ON task_instance_history (dag_id, run_id);

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL PRIMARY KEY
);

INSERT INTO alembic_version (version_num) VALUES ('509b94a1042d');
