-- The user that dagfence reads Airflow's metadata database with. It may read who
-- owns what, and nothing else: no variable's value, no connection's password.
--
-- Run it in Airflow's database (MySQL 8 or MariaDB) as a user who may grant, and
-- again after each upgrade of Airflow to another minor release:
--
--     mysql airflow < mysql.sql
--     mysql -e "ALTER USER dagfence IDENTIFIED BY '...' ACCOUNT UNLOCK"
--
-- It grants those of the columns that this release of Airflow has (3.0 to 3.4).
CREATE USER IF NOT EXISTS dagfence ACCOUNT LOCK;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'alembic_version' AND column_name IN ('version_num'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `alembic_version` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'team' AND column_name IN ('id', 'name'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `team` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'dag_bundle_team' AND column_name IN ('dag_bundle_name', 'team_id', 'team_name'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `dag_bundle_team` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'dag' AND column_name IN ('dag_id', 'bundle_name'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `dag` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'task_instance' AND column_name IN ('id', 'dag_id', 'run_id', 'task_id', 'map_index', 'region_id', 'region_index', 'working_set'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `task_instance` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'dynamic_region' AND column_name IN ('id', 'node_id'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `dynamic_region` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'task_instance_history' AND column_name IN ('task_instance_id', 'dag_id', 'run_id', 'task_id', 'map_index'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `task_instance_history` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'variable' AND column_name IN ('key', 'team_id', 'team_name'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `variable` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'connection' AND column_name IN ('conn_id', 'team_id', 'team_name'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `connection` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'asset' AND column_name IN ('id', 'name', 'uri'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `asset` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'asset_active' AND column_name IN ('name', 'uri'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `asset_active` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'asset_alias' AND column_name IN ('id', 'name'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `asset_alias` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'asset_alias_asset' AND column_name IN ('alias_id', 'asset_id'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `asset_alias_asset` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'asset_event' AND column_name IN ('id', 'asset_id'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `asset_event` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

SET @columns = (SELECT GROUP_CONCAT('`', column_name, '`') FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = 'asset_alias_asset_event' AND column_name IN ('alias_id', 'event_id'));
SET @statement = COALESCE(CONCAT('GRANT SELECT (', @columns, ') ON `asset_alias_asset_event` TO dagfence'), 'DO 0');
PREPARE granting FROM @statement;
EXECUTE granting;

DEALLOCATE PREPARE granting;
