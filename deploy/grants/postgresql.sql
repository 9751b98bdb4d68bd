-- The role that dagfence reads Airflow's metadata database with. It may read who
-- owns what, and nothing else: no variable's value, no connection's password.
--
-- Run it in Airflow's database as the owner of Airflow's tables, and again
-- after each upgrade of Airflow to another minor release:
--
--     psql -v ON_ERROR_STOP=1 -f postgresql.sql "$AIRFLOW_DATABASE"
--     psql -c '\password dagfence' "$AIRFLOW_DATABASE"
--
-- With [database] sql_alchemy_schema, set PGOPTIONS='-c search_path=<that schema>' for it.
--
-- It grants those of the columns that this release of Airflow has (3.0 to 3.4).
-- xmin and xmax are PostgreSQL's own: which transaction wrote or locked a row. By them a
-- lookup service with --redis notices what has changed.
DO $$
DECLARE
    wanted record;
BEGIN
    IF to_regclass('variable') IS NULL THEN
        RAISE EXCEPTION 'there is no table "variable" on the search_path: run this in Airflow''s database';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dagfence') THEN
        CREATE ROLE dagfence LOGIN;
    END IF;
    -- Where a pooler drops what a session asks for at its start, this stays.
    ALTER ROLE dagfence SET default_transaction_read_only = on;
    ALTER ROLE dagfence SET statement_timeout = '2s';

    FOR wanted IN
        SELECT c.oid::regclass AS tbl, n.nspname AS schema, string_agg(quote_ident(a.attname), ', ') AS cols
        FROM (VALUES
            ('alembic_version', '{version_num}'::name[]),
            ('team', '{id,name,xmax}'),
            ('dag_bundle_team', '{dag_bundle_name,team_id,team_name}'),
            ('dag', '{dag_id,bundle_name,xmin}'),
            ('task_instance', '{id,dag_id,run_id,task_id,map_index,region_id,region_index,working_set}'),
            ('dynamic_region', '{id,node_id}'),
            ('task_instance_history', '{task_instance_id,dag_id,run_id,task_id,map_index}'),
            ('variable', '{key,team_id,team_name,xmin}'),
            ('connection', '{conn_id,team_id,team_name,xmin}'),
            ('asset', '{id,name,uri}'),
            ('asset_active', '{name,uri}'),
            ('asset_alias', '{id,name}'),
            ('asset_alias_asset', '{alias_id,asset_id}'),
            ('asset_event', '{id,asset_id}'),
            ('asset_alias_asset_event', '{alias_id,event_id}')
        ) AS t (name, columns)
        JOIN pg_class c ON c.oid = to_regclass(t.name)
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = ANY (t.columns) AND NOT a.attisdropped
        GROUP BY c.oid, n.nspname
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO dagfence', wanted.schema);
        EXECUTE format('GRANT SELECT (%s) ON %s TO dagfence', wanted.cols, wanted.tbl);
    END LOOP;
END
$$;
