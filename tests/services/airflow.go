package services

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// defaults lets a row leave out what has to have a value and says nothing about
// its owner. Airflow's models fill that in themselves.
const defaults = `
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT table_name, column_name, CASE data_type WHEN 'boolean' THEN 'false' WHEN 'integer' THEN '0' WHEN 'json' THEN '{}'
            WHEN 'timestamp with time zone' THEN 'epoch' ELSE '' END AS value
        FROM information_schema.columns
        WHERE table_schema = current_schema() AND is_nullable = 'NO' AND column_default IS NULL AND data_type <> 'uuid'
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET DEFAULT %L', c.table_name, c.column_name, c.value);
    END LOOP;
END
$$;
`

// AirflowTables is the SQL that makes, in an empty PostgreSQL database, the
// tables of Airflow 3.3 that say who owns what, with their indexes. Rows may
// leave out all that does not.
func AirflowTables(tb testing.TB) string {
	tb.Helper()
	_, file, _, _ := runtime.Caller(0)
	tables, err := os.ReadFile(filepath.Join(filepath.Dir(file), "../../lookup/testdata/airflow-3.3.postgresql.sql"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(tables) + defaults
}
