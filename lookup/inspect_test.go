package lookup_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/lookup"
)

// What roles may do is held against the grants scripts, in grants_test.go.

func TestInspectionOfSQLiteTellsSchemaAndTeamsAndNoGrants(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]lookup.Inspection{
		"3.0": {Dialect: "sqlite", Releases: "3.0"},
		"3.1": {Dialect: "sqlite", Releases: "3.1", Teams: true},
		"3.2": {Dialect: "sqlite", Releases: "3.2 and 3.3", Teams: true},
		"3.4": {Dialect: "sqlite", Releases: "3.4", Teams: true},
	} {
		db, url := sqliteFiles().airflow(t, release)
		d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, "dags: {x: file_a, y: \"\"}\nvariables: {\"z*\": file_b}")})
		found, err := d.Inspect(t.Context())
		if err != nil || found.Dialect != want.Dialect || found.Releases != want.Releases || found.Teams != want.Teams || len(found.Excess) > 0 {
			t.Errorf("%s: found %+v, %v", release, found, err)
		}
		names := []string{"file_a", "file_b"}
		if release != "3.0" {
			names = append(names, "team_a", "team_b")
		}
		if !slices.Equal(found.TeamNames, names) {
			t.Errorf("%s: teams %q, want %q", release, found.TeamNames, names)
		}
		if release == "3.0" {
			continue
		}
		execute(t, db, "DELETE FROM dag_bundle_team")
		if found, err := d.Inspect(t.Context()); err != nil || found.Teams {
			t.Errorf("%s without teams: found %+v, %v", release, found, err)
		}
	}
}

func TestInspectionSaysWhyThereIsNone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options lookup.Options
		want    string
	}{
		"no database":         {lookup.Options{OwnershipFile: file(t, "dags: {}")}, "database: none is set"},
		"nobody listens":      {lookup.Options{Database: "postgresql://airflow@127.0.0.1:1/airflow"}, "reaching the metadata database"},
		"no such SQLite file": {lookup.Options{Database: "sqlite:////nowhere/airflow.db"}, "reaching the metadata database"},
	} {
		if _, err := directoryOf(t, tc.options).Inspect(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
}
