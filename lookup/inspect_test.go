package lookup_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/lookup"
)

// What roles may do is compared with the grants scripts, in grants_test.go.

func TestInspect_SQLiteHasSchemaAndTeamsAndNoGrants(t *testing.T) {
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

func TestInspection_NamesTeamsOfTheFileThatAirflowDoesNotHave(t *testing.T) {
	t.Parallel()
	const owners = "dags: {x: Team_A, y: \"\", z: team_b}\nvariables: {\"z*\": nowhere}"
	for release, want := range map[string][]lookup.Stray{
		"3.0": nil, // it has no teams
		"3.1": {{Team: "Team_A", Row: "team_a"}, {Team: "nowhere"}},
		"3.4": {{Team: "Team_A", Row: "team_a"}, {Team: "nowhere"}},
	} {
		db, url := sqliteFiles().airflow(t, release)
		var log bytes.Buffer
		d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, owners), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		found, err := d.Inspect(t.Context())
		if err != nil || !slices.Equal(found.Strays, want) {
			t.Errorf("%s: found %+v, %v, want %+v", release, found.Strays, err, want)
		}
		for _, stray := range want {
			if !strings.Contains(log.String(), strconv.Quote(stray.String())) {
				t.Errorf("%s: the start says nothing of %v:\n%s", release, stray, &log)
			}
		}
		if warned := strings.Count(log.String(), "level=WARN"); warned != len(want) {
			t.Errorf("%s: %d warnings, want %d:\n%s", release, warned, len(want), &log)
		}
		if release == "3.0" {
			continue
		}
		execute(t, db, "PRAGMA foreign_keys=OFF; DELETE FROM team") // the file is all that names teams
		if found, err := d.Inspect(t.Context()); err != nil || len(found.Strays) > 0 {
			t.Errorf("%s without teams: found %+v, %v", release, found.Strays, err)
		}
	}
}

func TestInspect_ReturnsWhyItFailed(t *testing.T) {
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
