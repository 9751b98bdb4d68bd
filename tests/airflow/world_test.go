package airflow_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

// jwtSecret signs the tokens of the world.
const jwtSecret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// The two runs that each dag of the world has.
const (
	run1 = "manual__2026-01-01T00:00:00+00:00"
	run2 = "manual__2026-01-02T00:00:00+00:00"
)

// A world is what world.py wrote into a database and minted: two teams, four
// dags, their tasks' ids and tokens.
type world struct {
	IDs    map[string]string `json:"ids"`
	Tokens map[string]string `json:"tokens"`
	// Owners is the ownership file: who owns what this release's database has no
	// place for.
	Owners json.RawMessage `json:"owners"`
	file   string
}

// A seeded is the PostgreSQL server of a release that seed has made, as files: a
// second test that needs one is spared Airflow's start and all that it writes.
type seeded struct {
	once  sync.Once
	data  string
	world []byte
}

var seeds = func() map[string]*seeded {
	seeds := make(map[string]*seeded)
	for _, version := range releases {
		seeds[version] = new(seeded)
	}
	return seeds
}()

// seed starts for the test a PostgreSQL server of its own, whose database "airflow" the
// release, as installed, has migrated and world.py filled. The role dagfence may
// read who owns what, and no secret's value.
func seed(t *testing.T, airflow *release) (*services.PostgresServer, *world) {
	t.Helper()
	s := seeds[airflow.version]
	var server *services.PostgresServer
	var w *world
	s.once.Do(func() {
		server = services.Postgres(t)
		w = s.make(t, airflow, server)
	})
	if server != nil {
		return server, w
	}
	if s.data == "" {
		t.Fatalf("the database of Airflow %s could not be made: see the test that tried", airflow.version)
	}
	w = &world{file: write(t, "world.json", s.world)}
	w.read(t)
	return services.PostgresFrom(t, s.data), w
}

// make seeds the server, and saves it.
func (s *seeded) make(t *testing.T, airflow *release, server *services.PostgresServer) *world {
	t.Helper()
	url := server.URL("airflow", "airflow")
	w := populate(t, airflow, url)
	database := openDatabase(t, url)
	for _, statement := range grants(t) {
		execute(t, database, statement)
	}
	content, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	// Beside the binary of the tests, whose folder go test removes.
	tests, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(filepath.Dir(tests), "airflow-"+airflow.version)
	server.Save(t, data)
	s.data, s.world = data, content
	return w
}

// grants make the role dagfence, as an operator would.
func grants(t *testing.T) []string {
	t.Helper()
	script, err := os.ReadFile("../../deploy/grants/postgresql.sql")
	if err != nil {
		t.Fatal(err)
	}
	return []string{string(script)}
}

// populate migrates a database and lets world.py fill it.
func populate(t *testing.T, airflow *release, databaseURL string) *world {
	t.Helper()
	w := &world{file: filepath.Join(t.TempDir(), "world.json")}
	airflow.run(t, databaseURL, "airflow", "db", "migrate")
	airflow.run(t, databaseURL, "python", "world.py", "seed", w.file)
	w.read(t)
	return w
}

// ownershipFile returns the path of the ownership file.
func (w *world) ownershipFile(t *testing.T) string {
	t.Helper()
	return write(t, "owners.yaml", w.Owners) // JSON is YAML
}

// mint replaces the tokens by what the release signs with its settings.
func (w *world) mint(t *testing.T, airflow *release, databaseURL string) {
	t.Helper()
	airflow.run(t, databaseURL, "python", "world.py", "mint", w.file)
	clear(w.Tokens)
	w.read(t)
}

func (w *world) read(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, w); err != nil {
		t.Fatalf("reading what world.py wrote: %v", err)
	}
}

// fill replaces {run1}, {run2} and {dag.task}, a task instance's id.
func (w *world) fill(text string) string {
	pairs := []string{"{run1}", run1, "{run2}", run2}
	for name, id := range w.IDs {
		pairs = append(pairs, "{"+name+"}", id)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// authorization is the Authorization header of a task, by the name that
// world.py gave its token; a name with a space in it that it did not mint is
// the header itself. Nobody has none.
func (w *world) authorization(t *testing.T, who string) string {
	t.Helper()
	if who == nobody {
		return ""
	}
	if scheme, name, ok := strings.Cut(who, " as "); ok {
		return scheme + " " + w.Tokens[name]
	}
	token, ok := w.Tokens[who]
	if !ok {
		t.Fatalf("world.py minted no token %q", who)
	}
	return "Bearer " + token
}
