package check_test

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/dagfence/dagfence/check"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
)

// execute runs scripts in a PostgreSQL database.
func execute(t *testing.T, server *services.PostgresServer, database string, scripts ...string) {
	t.Helper()
	db, err := sql.Open("pgx", strings.Replace(server.URL("airflow", database), "+psycopg2", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, script := range scripts {
		if content, err := os.ReadFile(script); err == nil {
			script = string(content)
		}
		if _, err := db.ExecContext(t.Context(), script); err != nil {
			t.Fatalf("%s: %v", script, err)
		}
	}
}

// withDatabase is a fence that is right, but for its database.
func withDatabase(t *testing.T, url string) check.Options {
	t.Helper()
	options := right(t)
	options.Fence.OwnershipFile, options.Fence.Database = "", url
	return options
}

func TestDatabase_AndItsGrants(t *testing.T) {
	t.Parallel()
	const (
		tables = "../lookup/testdata/airflow-3.2.postgresql.sql"
		grants = "../deploy/grants/postgresql.sql"
		bundle = `INSERT INTO team (name) VALUES ('team_a'); INSERT INTO dag_bundle (name) VALUES ('a');
			INSERT INTO dag_bundle_team (dag_bundle_name, team_name) VALUES ('a', 'team_a')`
	)
	server := services.Postgres(t)
	execute(t, server, "airflow", tables, grants, bundle, "CREATE DATABASE empty", "CREATE ROLE nothing LOGIN")
	execute(t, server, "airflow", "CREATE ROLE half LOGIN", "GRANT SELECT (key, team_name) ON variable TO half")
	for name, tc := range map[string]struct {
		url   string
		state check.State
		check string
		text  string
	}{
		"the role of the grants script": {server.URL("dagfence", "airflow"), check.OK, "grants", "reads neither values nor passwords"},
		"the schema":                    {server.URL("dagfence", "airflow"), check.OK, "database", "postgresql with the schema of Airflow 3.2 and 3.3"},
		"Airflow's own role":            {server.URL("airflow", "airflow"), check.Warning, "grants", "may read variable.val, read connection.password, write variable, write connection, write dag, which the fence does not need: use the role of deploy/grants/postgresql.sql"},
		"a role without grants":         {server.URL("nothing", "airflow"), check.Problem, "database", "run deploy/grants/postgresql.sql"},
		"a role with some of them":      {server.URL("half", "airflow"), check.Problem, "database", "permission denied"},
		"another database":              {server.URL("airflow", "empty"), check.Problem, "database", "set database to Airflow's own"},
		"no such database":              {server.URL("airflow", "none"), check.Problem, "database", "check the user, password and database name"},
		"no such server":                {"postgresql://airflow:pass-word@127.0.0.1:1/airflow", check.Problem, "database", "nothing listens there"},
		"an unknown option":             {server.URL("airflow", "airflow") + "?wrong=1", check.Problem, "database", `unknown option "wrong" in the URL`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := atFence(t, withDatabase(t, tc.url), "pass-word")
			wantFinding(t, found, tc.check, tc.state, tc.text)
			if tc.state == check.OK {
				found.want(t, check.OK, tc.check, tc.text)
			}
		})
	}
}

func TestDatabase_WithoutTeamsIsAWarning(t *testing.T) {
	t.Parallel()
	server := services.Postgres(t)
	execute(t, server, "airflow", "../lookup/testdata/airflow-3.2.postgresql.sql", "../deploy/grants/postgresql.sql")
	url := server.URL("dagfence", "airflow")
	atFence(t, withDatabase(t, url)).want(t, check.Warning, "teams", "no dag bundle has a team")
	off, file := withDatabase(t, url), withDatabase(t, url)
	off.Fence.MultiTeam = config.Off
	file.Fence.OwnershipFile = write(t, "owners.yaml", "bundles: {a: team_a}")
	for _, options := range []check.Options{off, file} {
		for _, f := range atFence(t, options) {
			if f.Check == "teams" {
				t.Errorf("found %s", f)
			}
		}
	}
}

func TestDatabase_WithTeamsWhileMultiTeamIsOffIsAWarning(t *testing.T) {
	t.Parallel()
	server := services.Postgres(t)
	execute(t, server, "airflow", "../lookup/testdata/airflow-3.2.postgresql.sql", "../deploy/grants/postgresql.sql",
		"INSERT INTO team (name) VALUES ('team_a')", "INSERT INTO dag_bundle (name) VALUES ('bundle_a')",
		"INSERT INTO dag_bundle_team (dag_bundle_name, team_name) VALUES ('bundle_a', 'team_a')")
	options := withDatabase(t, server.URL("dagfence", "airflow"))
	options.Fence.MultiTeam = config.Off
	atFence(t, options).want(t, check.Warning, "teams", "multi_team is off, so the rules about teams are skipped")
	options.Fence.MultiTeam = config.On
	for _, f := range atFence(t, options) {
		if f.Check == "teams" {
			t.Errorf("found %s", f)
		}
	}
}

func TestTeams_SharingEnvironmentVariablesAreNamed(t *testing.T) {
	t.Parallel()
	server := services.Postgres(t)
	execute(t, server, "airflow", "../lookup/testdata/airflow-3.2.postgresql.sql", "../deploy/grants/postgresql.sql")
	options := withDatabase(t, server.URL("dagfence", "airflow"))
	options.Fence.OwnershipFile = write(t, "owners.yaml", "variables: {a: ops, b: ops_}")
	atFence(t, options).want(t, check.Warning, "teams", `"ops" and "ops_" share environment variables`)
	options.Fence.MultiTeam = config.Off
	for _, f := range atFence(t, options) {
		if f.Check == "teams" {
			t.Errorf("found %s", f)
		}
	}
}

func TestTeams_UnknownToAirflowAreNamed(t *testing.T) {
	t.Parallel()
	server := services.Postgres(t)
	execute(t, server, "airflow", "../lookup/testdata/airflow-3.4.postgresql.sql", "../deploy/grants/postgresql.sql", "INSERT INTO team (name) VALUES ('team_a'), ('team_b')",
		"INSERT INTO dag_bundle (name) VALUES ('a'); INSERT INTO dag_bundle_team (dag_bundle_name, team_name) VALUES ('a', 'team_a')")
	options := withDatabase(t, server.URL("dagfence", "airflow"))
	options.Fence.OwnershipFile = write(t, "owners.yaml", "variables: {a: Team_A, b: team_b, c: nowhere}")
	var warned []string
	for _, f := range atFence(t, options) {
		if f.Check == "teams" {
			warned = append(warned, f.String())
		}
	}
	said := strings.Join(warned, "\n")
	if len(warned) != 2 || strings.Contains(said, `team "team_b"`) || !strings.Contains(said, `names team "nowhere", which Airflow does not have, so`) ||
		!strings.Contains(said, `names team "Team_A", which Airflow does not have; "team_a" differs only in case (Airflow 3.4 makes team names lower case): write "team_a" in the file`) {
		t.Errorf("found %s", said)
	}
	options.Fence.MultiTeam = config.Off
	for _, f := range atFence(t, options) {
		if f.Check == "teams" && !strings.Contains(f.Text, "multi_team is off") {
			t.Errorf("found %s", f)
		}
	}
}

func TestOwnershipFile_IsReadAsAtStart(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		path  string
		state check.State
		text  string
	}{
		"good":             {write(t, "owners.yaml", "dags: {a: team_a}"), check.OK, "it can be read"},
		"unknown section":  {write(t, "owners.yaml", "pools: {a: team_a}"), check.Problem, `unknown section "pools"`},
		"bundles":          {write(t, "owners.yaml", "bundles: {a: team_a}"), check.OK, "it can be read"},
		"no such file":     {"/nowhere/owners.yaml", check.Problem, "must be the path of a readable YAML file"},
		"not even a table": {write(t, "owners.yaml", ""), check.Problem, "the file is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := right(t)
			options.Fence.OwnershipFile = tc.path
			atFence(t, options).want(t, tc.state, "ownership_file", tc.text)
		})
	}
}

func TestOwnershipFile_AloneHasNoTasks(t *testing.T) {
	t.Parallel()
	knowing := jwt.MapClaims{"dag_id": "dag_a"}
	for name, tc := range map[string]struct {
		change func(*check.Options)
		claims jwt.MapClaims
		state  check.State
		text   string
	}{
		"alone":                      {func(*check.Options) {}, nil, check.Problem, "set database or lookup too"},
		"without teams":              {func(o *check.Options) { o.Fence.MultiTeam = config.Off }, nil, check.Problem, "set database or lookup too"},
		"nothing to know":            {func(o *check.Options) { o.Fence.MultiTeam, o.Fence.Rules.XComWrites = config.Off, config.Off }, nil, check.OK, ""},
		"tokens that know their dag": {func(*check.Options) {}, knowing, check.OK, ""},
		"bundles, of what?": {
			func(o *check.Options) { o.Fence.OwnershipFile = write(t, "owners.yaml", "bundles: {a: team_a}") },
			nil, check.Problem, "bundles needs a metadata database",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, options := newStub(), right(t)
			options.Fence.Database = ""
			tc.change(&options)
			options.Upstream, options.Token = s.start(t), signed(t, s, tc.claims)
			atFence(t, options).want(t, tc.state, "ownership_file", tc.text)
		})
	}
}

func TestLookup_ProblemsAreNamed(t *testing.T) {
	t.Parallel()
	service := resolvertest.Service(new(resolvertest.World))
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer pass-word" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		service.ServeHTTP(w, r)
	})
	plain, guard := serve(t, service).String(), serve(t, guarded).String()
	overTLS := httptest.NewUnstartedServer(service)
	overTLS.Config.ErrorLog = quiet()
	overTLS.StartTLS()
	t.Cleanup(overTLS.Close)
	down := new(resolvertest.World)
	down.Refuse(resolver.KindDag, resolver.Probe.Name, resolver.Unavailable)
	for name, tc := range map[string]struct {
		lookup config.Lookup
		state  check.State
		text   string
	}{
		"open":            {config.Lookup{URL: plain}, check.OK, "the service answers"},
		"the token":       {config.Lookup{URL: guard, Token: "pass-word"}, check.OK, "accepts the fence's credentials"},
		"another token":   {config.Lookup{URL: guard, Token: "pass-wordless"}, check.Problem, "returned 401: check lookup token and tls_client"},
		"no token":        {config.Lookup{URL: guard}, check.Problem, "returned 401"},
		"nobody":          {config.Lookup{URL: "http://127.0.0.1:1"}, check.Problem, "nothing listens there"},
		"not trusted":     {config.Lookup{URL: overTLS.URL}, check.Problem, "set the PEM file of that authority in lookup ca"},
		"not TLS":         {config.Lookup{URL: strings.Replace(plain, "http:", "https:", 1)}, check.Problem, "server does not use TLS on this port"},
		"TLS":             {config.Lookup{URL: strings.Replace(overTLS.URL, "https:", "http:", 1)}, check.Problem, "returned 400: set the URL of a `dagfence lookup`"},
		"another service": {config.Lookup{URL: serve(t, http.NotFoundHandler()).String()}, check.Problem, "returned 404: set the URL of a `dagfence lookup`"},
		"unavailable":     {config.Lookup{URL: serve(t, resolvertest.Service(down)).String()}, check.Problem, "see its /ready and its log"},
		"no such CA file": {config.Lookup{URL: overTLS.URL, CA: "/nowhere/ca.pem"}, check.Problem, "lookup ca: open /nowhere/ca.pem: no such file or directory: must be the path of a PEM file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := right(t)
			options.Fence.Database, options.Fence.OwnershipFile, options.Fence.Lookup = "", "", tc.lookup
			atFence(t, options, "pass-word").want(t, tc.state, "lookup", tc.text)
		})
	}
}

func TestVariableKeys_AreFilteredByTeam(t *testing.T) {
	t.Parallel()
	world := new(resolvertest.World)
	world.Run(taskA, resolver.Task{DagID: "dag_a", RunID: "run", TaskID: "t1", MapIndex: -1})
	world.Own(resolver.KindDag, "dag_a", "team_a")
	world.Own(resolver.KindVariable, "var_a", "team_a")
	world.Own(resolver.KindVariable, "var_b", "team_b")
	lookup := serve(t, resolvertest.Service(world)).String()
	many := append(slices.Repeat([]string{"var_a"}, 100), "var_b")
	for name, tc := range map[string]struct {
		stub  func(*stub)
		multi string
		state check.State
		text  string
	}{
		"filtered":        {func(s *stub) { s.keys = []string{"var_a"} }, "", check.OK, "none of the 1 that upstream lists"},
		"unfiltered":      {func(s *stub) { s.keys = many }, "", check.Problem, "upstream lists 1 keys of other teams among 101: set AIRFLOW__CORE__MULTI_TEAM=True"},
		"no list yet":     {func(s *stub) { s.version = "2026-04-06" }, "", check.NotChecked, "does not list them"},
		"multi_team off":  {func(*stub) {}, config.Off, check.NotChecked, "multi_team is off"},
		"upstream breaks": {func(s *stub) { s.before = broken }, "", check.Problem, "upstream answers 500, and no list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, options := newStub(), right(t)
			tc.stub(s)
			options.Fence.Database, options.Fence.OwnershipFile, options.Fence.Lookup.URL, options.Fence.MultiTeam = "", "", lookup, tc.multi
			options.Upstream, options.Token = s.start(t), signed(t, s, nil)
			atFence(t, options, "var_").want(t, tc.state, "variable keys", tc.text)
		})
	}
}

// broken fails at the list alone.
func broken(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasSuffix(r.URL.Path, "/variables/keys") {
		return false
	}
	answer(w, http.StatusInternalServerError, `{"message":"Internal server error"}`)
	return true
}
