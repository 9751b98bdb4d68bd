-- The tables that hold owners, as the models of Airflow 3.2.2 create them on postgresql; scripts/airflow-ddl.py made it.

CREATE TABLE asset (
	id SERIAL NOT NULL,
	name VARCHAR(1500) NOT NULL,
	uri VARCHAR(1500) NOT NULL,
	"group" VARCHAR(1500) NOT NULL,
	extra JSON NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
	CONSTRAINT asset_pkey PRIMARY KEY (id)
);

CREATE UNIQUE INDEX idx_asset_name_uri_unique ON asset (name, uri);

CREATE TABLE asset_alias (
	id SERIAL NOT NULL,
	name VARCHAR(1500) NOT NULL,
	"group" VARCHAR(1500) NOT NULL,
	CONSTRAINT asset_alias_pkey PRIMARY KEY (id)
);

CREATE UNIQUE INDEX idx_asset_alias_name_unique ON asset_alias (name);

CREATE TABLE asset_event (
	id SERIAL NOT NULL,
	asset_id INTEGER NOT NULL,
	extra JSON NOT NULL,
	source_task_id VARCHAR(250),
	source_dag_id VARCHAR(250),
	source_run_id VARCHAR(250),
	source_map_index INTEGER DEFAULT '-1',
	timestamp TIMESTAMP WITH TIME ZONE NOT NULL,
	partition_key VARCHAR(250),
	CONSTRAINT asset_event_pkey PRIMARY KEY (id)
);

CREATE INDEX idx_asset_id_timestamp ON asset_event (asset_id, timestamp);

CREATE TABLE dag_bundle (
	name VARCHAR(250) NOT NULL,
	active BOOLEAN,
	version VARCHAR(200),
	last_refreshed TIMESTAMP WITH TIME ZONE,
	signed_url_template TEXT,
	template_params JSON,
	CONSTRAINT dag_bundle_pkey PRIMARY KEY (name)
);

CREATE TABLE team (
	name VARCHAR(50) NOT NULL,
	CONSTRAINT team_pkey PRIMARY KEY (name)
);

CREATE TABLE asset_active (
	name VARCHAR(1500) NOT NULL,
	uri VARCHAR(1500) NOT NULL,
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
	id SERIAL NOT NULL,
	conn_id VARCHAR(250) NOT NULL,
	conn_type VARCHAR(500) NOT NULL,
	description TEXT,
	host VARCHAR(500),
	schema VARCHAR(500),
	login TEXT,
	password TEXT,
	port INTEGER,
	is_encrypted BOOLEAN NOT NULL,
	is_extra_encrypted BOOLEAN NOT NULL,
	team_name VARCHAR(50),
	extra TEXT,
	CONSTRAINT connection_pkey PRIMARY KEY (id),
	CONSTRAINT connection_conn_id_uq UNIQUE (conn_id),
	CONSTRAINT connection_team_name_fkey FOREIGN KEY(team_name) REFERENCES team (name) ON DELETE SET NULL
);

CREATE TABLE dag (
	dag_id VARCHAR(250) NOT NULL,
	is_paused BOOLEAN NOT NULL,
	is_stale BOOLEAN NOT NULL,
	exceeds_max_non_backfill BOOLEAN DEFAULT '0' NOT NULL,
	last_parsed_time TIMESTAMP WITH TIME ZONE,
	last_parse_duration FLOAT,
	last_expired TIMESTAMP WITH TIME ZONE,
	fileloc VARCHAR(2000),
	relative_fileloc VARCHAR(2000),
	bundle_name VARCHAR(250) NOT NULL,
	bundle_version VARCHAR(200),
	owners VARCHAR(2000),
	dag_display_name VARCHAR(2000),
	description TEXT,
	timetable_type VARCHAR(255) NOT NULL,
	timetable_summary TEXT,
	timetable_description VARCHAR(1000),
	timetable_partitioned BOOLEAN DEFAULT '0' NOT NULL,
	asset_expression JSON,
	deadline JSON,
	max_active_tasks INTEGER NOT NULL,
	max_active_runs INTEGER,
	max_consecutive_failed_dag_runs INTEGER NOT NULL,
	has_task_concurrency_limits BOOLEAN NOT NULL,
	has_import_errors BOOLEAN DEFAULT '0',
	fail_fast BOOLEAN DEFAULT '0' NOT NULL,
	allowed_run_types JSON,
	next_dagrun TIMESTAMP WITH TIME ZONE,
	next_dagrun_data_interval_start TIMESTAMP WITH TIME ZONE,
	next_dagrun_data_interval_end TIMESTAMP WITH TIME ZONE,
	next_dagrun_partition_key VARCHAR(255),
	next_dagrun_partition_date TIMESTAMP WITH TIME ZONE,
	next_dagrun_create_after TIMESTAMP WITH TIME ZONE,
	CONSTRAINT dag_pkey PRIMARY KEY (dag_id),
	CONSTRAINT dag_bundle_name_fkey FOREIGN KEY(bundle_name) REFERENCES dag_bundle (name)
);

CREATE INDEX idx_next_dagrun_create_after ON dag (next_dagrun_create_after);

CREATE TABLE dag_bundle_team (
	dag_bundle_name VARCHAR(250) NOT NULL,
	team_name VARCHAR(50) NOT NULL,
	CONSTRAINT dag_bundle_team_pkey PRIMARY KEY (dag_bundle_name, team_name),
	CONSTRAINT dag_bundle_team_dag_bundle_name_fkey FOREIGN KEY(dag_bundle_name) REFERENCES dag_bundle (name) ON DELETE CASCADE,
	CONSTRAINT dag_bundle_team_team_name_fkey FOREIGN KEY(team_name) REFERENCES team (name) ON DELETE CASCADE
);

CREATE UNIQUE INDEX idx_dag_bundle_team_dag_bundle_name ON dag_bundle_team (dag_bundle_name);

CREATE INDEX idx_dag_bundle_team_team_name ON dag_bundle_team (team_name);

CREATE TABLE variable (
	id SERIAL NOT NULL,
	key VARCHAR(250) NOT NULL,
	val TEXT NOT NULL,
	description TEXT,
	is_encrypted BOOLEAN NOT NULL,
	team_name VARCHAR(50),
	CONSTRAINT variable_pkey PRIMARY KEY (id),
	CONSTRAINT variable_key_uq UNIQUE (key),
	CONSTRAINT variable_team_name_fkey FOREIGN KEY(team_name) REFERENCES team (name) ON DELETE SET NULL
);

CREATE TABLE task_instance (
	id UUID NOT NULL,
	task_id VARCHAR(250) NOT NULL,
	dag_id VARCHAR(250) NOT NULL,
	run_id VARCHAR(250) NOT NULL,
	map_index INTEGER DEFAULT '-1' NOT NULL,
	start_date TIMESTAMP WITH TIME ZONE,
	end_date TIMESTAMP WITH TIME ZONE,
	duration FLOAT,
	state VARCHAR(20),
	try_number INTEGER NOT NULL,
	max_tries INTEGER DEFAULT '-1' NOT NULL,
	hostname VARCHAR(1000),
	unixname VARCHAR(1000),
	pool VARCHAR(256) NOT NULL,
	pool_slots INTEGER NOT NULL,
	queue VARCHAR(256),
	priority_weight INTEGER,
	operator VARCHAR(1000),
	custom_operator_name VARCHAR(1000),
	queued_dttm TIMESTAMP WITH TIME ZONE,
	scheduled_dttm TIMESTAMP WITH TIME ZONE,
	queued_by_job_id INTEGER,
	last_heartbeat_at TIMESTAMP WITH TIME ZONE,
	pid INTEGER,
	executor VARCHAR(1000),
	executor_config BYTEA,
	updated_at TIMESTAMP WITH TIME ZONE,
	rendered_map_index VARCHAR(250),
	context_carrier JSONB,
	span_status VARCHAR(250) DEFAULT 'not_started' NOT NULL,
	external_executor_id TEXT,
	trigger_id INTEGER,
	trigger_timeout TIMESTAMP WITH TIME ZONE,
	next_method VARCHAR(1000),
	next_kwargs JSONB,
	task_display_name VARCHAR(2000),
	dag_version_id UUID,
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
	task_instance_id UUID NOT NULL,
	task_id VARCHAR(250) NOT NULL,
	dag_id VARCHAR(250) NOT NULL,
	run_id VARCHAR(250) NOT NULL,
	map_index INTEGER DEFAULT '-1' NOT NULL,
	try_number INTEGER NOT NULL,
	start_date TIMESTAMP WITH TIME ZONE,
	end_date TIMESTAMP WITH TIME ZONE,
	duration FLOAT,
	state VARCHAR(20),
	max_tries INTEGER DEFAULT '-1',
	hostname VARCHAR(1000),
	unixname VARCHAR(1000),
	pool VARCHAR(256) NOT NULL,
	pool_slots INTEGER NOT NULL,
	queue VARCHAR(256),
	priority_weight INTEGER,
	operator VARCHAR(1000),
	custom_operator_name VARCHAR(1000),
	queued_dttm TIMESTAMP WITH TIME ZONE,
	scheduled_dttm TIMESTAMP WITH TIME ZONE,
	queued_by_job_id INTEGER,
	pid INTEGER,
	executor VARCHAR(1000),
	executor_config BYTEA,
	updated_at TIMESTAMP WITH TIME ZONE,
	rendered_map_index VARCHAR(250),
	context_carrier JSONB,
	span_status VARCHAR(250) DEFAULT 'not_started' NOT NULL,
	external_executor_id TEXT,
	trigger_id INTEGER,
	trigger_timeout TIMESTAMP WITHOUT TIME ZONE,
	next_method VARCHAR(1000),
	next_kwargs JSONB,
	task_display_name VARCHAR(2000),
	dag_version_id UUID,
	CONSTRAINT task_instance_history_pkey PRIMARY KEY (task_instance_id),
	CONSTRAINT task_instance_history_ti_fkey FOREIGN KEY(dag_id, task_id, run_id, map_index) REFERENCES task_instance (dag_id, task_id, run_id, map_index) ON DELETE CASCADE ON UPDATE CASCADE,
	CONSTRAINT task_instance_history_dtrt_uq UNIQUE (dag_id, task_id, run_id, map_index, try_number)
);

CREATE INDEX idx_tih_dag_run ON task_instance_history (dag_id, run_id);

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL PRIMARY KEY
);

INSERT INTO alembic_version (version_num) VALUES ('1d6611b6ab7c');
