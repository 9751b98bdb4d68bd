package lookup_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
)

// An asset of the tests is active unless it says otherwise.
type asset struct {
	id, name, uri string
	inactive      bool
}

var assets = []asset{
	{"1", "asset_a", "s3://a/one", false},
	{"2", "asset_b", "s3://b/one", false},
	// Two of one name, of which one is active.
	{"3", "shared", "s3://a/shared", false},
	{"4", "shared", "s3://b/shared", true},
	{"5", "free", "s3://nowhere/free", false},
	{"6", "by_uri_alone", "s3://b/two", false},
	{"7", "public", "s3://b/public", false},
}

// aliases are tied to assets by their ids; those of events are tied to events of
// the asset.
var aliases = []struct {
	id, name       string
	assets, events []string
}{
	{"1", "alias_a", []string{"1"}, nil},
	{"2", "alias_ab", []string{"1", "2"}, nil},
	{"3", "alias_events_b", nil, []string{"2"}},
	{"4", "alias_empty", nil, nil},
	{"5", "alias_of_b", []string{"5"}, nil},
	{"6", "alias_free", []string{"5"}, []string{"5"}},
	{"7", "asset_a", []string{"2"}, nil}, // named as an asset of another team's
}

const assetOwners = `assets:
  asset_a: team_a
  asset_b: team_b
  "s3://a/*": team_a
  "s3://b/*": team_b
  public: ""
  alias_of_b: team_b
  "listed*": team_b
`

// putAssets makes the assets and aliases in a database of the release.
func putAssets(tb testing.TB, s server, db *sql.DB, release string) {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "airflow-"+release+"."+s.dialect+".sql"))
	if err != nil {
		tb.Fatal(err)
	}
	var rows strings.Builder
	insert := func(table string, values map[string]string) {
		rows.WriteString(insertInto(string(content), table, values))
	}
	for _, a := range assets {
		insert("asset", map[string]string{"id": a.id, "name": a.name, "uri": a.uri, "created_at": "2026-01-01 00:00:00", "updated_at": "2026-01-01 00:00:00"})
		if !a.inactive {
			insert("asset_active", map[string]string{"name": a.name, "uri": a.uri})
		}
		insert("asset_event", map[string]string{"id": a.id, "asset_id": a.id, "timestamp": "2026-01-01 00:00:00"})
	}
	for _, a := range aliases {
		insert("asset_alias", map[string]string{"id": a.id, "name": a.name})
		for _, id := range a.assets {
			insert("asset_alias_asset", map[string]string{"alias_id": a.id, "asset_id": id})
		}
		for _, id := range a.events {
			insert("asset_alias_asset_event", map[string]string{"alias_id": a.id, "event_id": id})
		}
	}
	execute(tb, db, rows.String())
}

// checkAsset asks for an asset; no owners at all is not found, and "" is found
// and unowned.
func checkAsset(tb testing.TB, d *lookup.Directory, kind resolver.Kind, name string, owners ...string) {
	tb.Helper()
	got := one(tb, d, kind, name)
	var have []string
	if got.Outcome == resolver.Found {
		have = append([]string{got.Team}, got.Others...)
	}
	slices.Sort(have)
	if !slices.Equal(have, owners) || got.Err != nil || got.Outcome < resolver.NotFound {
		tb.Errorf("%v %q: %v of %q (%v), want %q", kind, name, got.Outcome, have, got.Err, owners)
	}
}

// testAssets asks for assets by each of their names, in every schema.
func testAssets(t *testing.T, s server) {
	t.Helper()
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			db, url := s.airflow(t, release)
			putAssets(t, s, db, release)
			d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, assetOwners)})
			const byName, byURI, byAlias = resolver.KindAssetName, resolver.KindAssetURI, resolver.KindAssetAlias
			for _, c := range []struct {
				kind   resolver.Kind
				name   string
				owners []string
			}{
				{byName, "asset_a", []string{"team_a"}},
				{byName, "asset_b", []string{"team_b"}},
				{byName, "shared", []string{"team_a", "team_b"}},
				{byName, "by_uri_alone", []string{"team_b"}},
				{byName, "public", []string{"team_b"}}, // unowned by its name, team_b's by its URI
				{byName, "free", []string{""}},
				{byName, "nowhere", nil},
				{byName, "listed, and not stored", []string{"team_b"}},
				{byName, "alias_ab", nil},
				{byName, "s3://b/one", []string{"team_b"}}, // a name that the file owns
				{byURI, "s3://a/one", []string{"team_a"}},
				{byURI, "s3://b/shared", []string{"team_b"}}, // inactive, but owned by the file
				{byURI, "s3://nowhere/free", []string{""}},
				{byURI, "by_uri_alone", nil},
				{byURI, "s3://b/public", []string{"team_b"}},
				{byAlias, "alias_a", []string{"team_a"}},
				{byAlias, "alias_ab", []string{"team_a", "team_b"}},
				{byAlias, "alias_events_b", []string{"team_b"}},
				{byAlias, "alias_empty", []string{""}},
				{byAlias, "alias_of_b", []string{"team_b"}},
				{byAlias, "alias_free", []string{""}},
				{byAlias, "asset_a", []string{"team_a", "team_b"}},
				{byAlias, "asset_b", []string{"team_b"}}, // no alias, but a name that the file owns
				{byAlias, "nowhere", nil},
				{byAlias, "alias_a\x00", nil},
				{byAlias, "' OR 1=1 --", nil},
				{resolver.KindAsset, "asset_a", []string{"team_a", "team_b"}},
				{resolver.KindAsset, "s3://nowhere/free", []string{""}},
				{resolver.KindAsset, "alias_events_b", []string{"team_b"}},
				{resolver.KindAsset, "nowhere", nil},
			} {
				checkAsset(t, d, c.kind, c.name, c.owners...)
			}
		})
	}
}

// testAssetCollations asks for names that the collation of assets equates with a
// stored one: latin1_general_cs ignores whitespace at the end, and nothing else.
func testAssetCollations(t *testing.T, s server) {
	t.Helper()
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			db, url := s.airflow(t, release)
			putAssets(t, s, db, release)
			d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, "assets:\n  asset_b: team_b\n  asset_a: team_a\n  s3://b/two: team_b\n  alias_of_b: team_b\n")})
			for _, whitespace := range []string{"", " ", "   "} {
				checkAsset(t, d, resolver.KindAssetName, "asset_b"+whitespace, "team_b")
				checkAsset(t, d, resolver.KindAssetName, "by_uri_alone"+whitespace, "team_b")
				checkAsset(t, d, resolver.KindAssetURI, "s3://b/one"+whitespace, "team_b")
				checkAsset(t, d, resolver.KindAssetURI, "s3://b/two"+whitespace, "team_b")
				checkAsset(t, d, resolver.KindAssetAlias, "alias_events_b"+whitespace, "team_b")
				checkAsset(t, d, resolver.KindAssetAlias, "alias_of_b"+whitespace, "team_b")
				checkAsset(t, d, resolver.KindAsset, "asset_b"+whitespace, "team_b")
			}
			checkAsset(t, d, resolver.KindAssetName, "Asset_B")
			checkAsset(t, d, resolver.KindAssetName, "asset_b\t")
			// What Latin-1 does not have is no asset's name; it is no fault either.
			for _, name := range []string{"актив", "asset_b\u2003", "😀", "asset_b\u00a0"} {
				checkAsset(t, d, resolver.KindAssetName, name)
				checkAsset(t, d, resolver.KindAssetURI, name)
				checkAsset(t, d, resolver.KindAssetAlias, name)
			}
		})
	}
}

func TestAssets_AreNotQueriedWithoutOwners(t *testing.T) {
	t.Parallel()
	_, url := sqliteFiles().airflow(t, "3.3")
	for name, owners := range map[string]string{"no file": "", "a file without assets": "dags: {dag_a: team_b}", "an empty section": "assets: {}"} {
		options := lookup.Options{Database: url}
		if owners != "" {
			options.OwnershipFile = file(t, owners)
		}
		d := directoryOf(t, options)
		if err := lookup.SessionDB(d).Close(); err != nil {
			t.Fatal(err)
		}
		for kind := resolver.KindAsset; kind <= resolver.KindAssetAlias; kind++ {
			if got := one(t, d, kind, "x"); got.Outcome != resolver.NotFound {
				t.Errorf("%s: %v is %v (%v)", name, kind, got.Outcome, got.Err)
			}
		}
	}
}

func TestAssetAlias_WithoutDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	d := directoryOf(t, lookup.Options{OwnershipFile: file(t, assetOwners)})
	checkAsset(t, d, resolver.KindAssetName, "asset_b", "team_b")
	checkAsset(t, d, resolver.KindAssetURI, "s3://b/x", "team_b")
	checkAsset(t, d, resolver.KindAssetName, "nowhere")
	for _, name := range []string{"alias_of_b", "nowhere"} {
		if got := one(t, d, resolver.KindAssetAlias, name); got.Outcome != resolver.Unavailable || !strings.Contains(fmt.Sprint(got.Err), "set database") {
			t.Errorf("alias %q is %v (%v)", name, got.Outcome, got.Err)
		}
	}
	d = directoryOf(t, lookup.Options{OwnershipFile: file(t, "dags: {}")})
	checkAsset(t, d, resolver.KindAssetAlias, "alias")
}

// testAttempts asks which attempts are current, and for the team that the database
// names, whatever the file says.
func testAttempts(t *testing.T, s server) {
	t.Helper()
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			db, url := s.airflow(t, release)
			d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, "dags: {dag_b: team_of_the_file, dag_g: team_of_the_file}")})
			for id, want := range map[string]struct {
				current      bool
				team, stored string
			}{
				taskA: {true, "team_a", "team_a"}, taskAMapped: {true, "team_a", "team_a"}, taskARetry: {false, "team_a", "team_a"},
				taskB: {true, "team_of_the_file", "team_b"}, taskG: {true, "team_of_the_file", ""},
			} {
				if release == "3.0" { // it knows no teams
					want.stored, want.team = "", strings.TrimPrefix(want.team, "team_a")
				}
				got := one(t, d, resolver.KindTask, id)
				if got.Outcome != resolver.Found || got.Current != want.current || got.StoredTeam != want.stored || got.Team != want.team {
					t.Errorf("%s: current %v, stored team %q, team %q (%v, %v): want %+v", id, got.Current, got.StoredTeam, got.Team, got.Outcome, got.Err, want)
				}
			}
			if release == "3.4" { // one table, in which an attempt stays when it is archived
				for _, current := range []bool{true, false} {
					for _, id := range []string{taskAMapped, taskAExpanded, taskALooped} {
						if got := one(t, d, resolver.KindTask, id); got.Outcome != resolver.Found || got.Current != current || got.Team != "team_a" || got.StoredTeam != "team_a" {
							t.Errorf("%s: %v, current %v, team %q, stored %q (%v), want current %v", id, got.Outcome, got.Current, got.Team, got.StoredTeam, got.Err, current)
						}
					}
					execute(t, db, "UPDATE task_instance SET working_set = NULL, archived_reason = 'cleared'")
				}
				return
			}
			// What is in both tables is where upstream looks for it.
			execute(t, db, "INSERT INTO task_instance_history (task_instance_id, task_id, dag_id, run_id, map_index, try_number, pool, pool_slots) "+
				"SELECT id, task_id, dag_id, run_id, map_index, 7, 'p', 1 FROM task_instance WHERE map_index = 3")
			if got := one(t, d, resolver.KindTask, taskAMapped); got.Outcome != resolver.Found || !got.Current {
				t.Errorf("in both tables it is %v, current %v (%v)", got.Outcome, got.Current, got.Err)
			}
		})
	}
}

// testAssetPlans makes the tables long, and reads how the server would go about
// each question: by an index, and never through a whole table.
func testAssetPlans(t *testing.T, s server, analyze []string, explain func(t *testing.T, db *sql.DB, query string) string, whole string) {
	t.Helper()
	db, _ := s.airflow(t, "3.3")
	content, err := os.ReadFile(filepath.Join("testdata", "airflow-3.3."+s.dialect+".sql"))
	if err != nil {
		t.Fatal(err)
	}
	wholly := regexp.MustCompile(whole)
	const many, each = 20_000, 500
	for first := 1; first <= many; first += each {
		var rows strings.Builder
		for i := first; i < first+each; i++ {
			id, name := strconv.Itoa(i), fmt.Sprintf("name-%d", i)
			for table, row := range map[string]map[string]string{
				"asset":       {"id": id, "name": name, "uri": "s3://" + name, "created_at": "2026-01-01 00:00:00", "updated_at": "2026-01-01 00:00:00"},
				"asset_alias": {"id": id, "name": name},
				"asset_event": {"id": id, "asset_id": id, "timestamp": "2026-01-01 00:00:00"},
			} {
				rows.WriteString(insertInto(string(content), table, row))
			}
		}
		execute(t, db, "BEGIN; "+rows.String()+" COMMIT;")
	}
	execute(t, db, "INSERT INTO asset_active SELECT name, uri FROM asset; INSERT INTO asset_alias_asset SELECT id, id FROM asset; "+
		"INSERT INTO asset_alias_asset_event SELECT id, id FROM asset;")
	for _, statement := range analyze {
		execute(t, db, statement)
	}
	for kind, query := range lookup.AssetQueries("name-777") {
		if plan := explain(t, db, query); wholly.MatchString(plan) || plan == "" {
			t.Errorf("%v reads a whole table:\n%s", kind, plan)
		}
	}
	if plan := explain(t, db, "SELECT asset.name FROM asset WHERE asset.uri = 's3://name-777'"); !wholly.MatchString(plan) {
		t.Errorf("the plan of what no index has does not show it:\n%s", plan)
	}
}

// explained reads a plan, all columns of each row in one line.
func explained(t *testing.T, db *sql.DB, statement string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(sql.NullString)
		}
		if err := rows.Scan(cells...); err != nil {
			t.Fatal(err)
		}
		for _, cell := range cells {
			plan.WriteString(cell.(*sql.NullString).String + "|")
		}
		plan.WriteString("\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

func explainSQLite(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	return explained(t, db, "EXPLAIN QUERY PLAN "+query)
}

func explain(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	return explained(t, db, "EXPLAIN "+query)
}
