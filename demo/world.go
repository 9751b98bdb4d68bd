package demo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/dagfence/dagfence/config"
)

// tokenLife is how long the demo's tokens are valid. Airflow's own live for ten
// minutes, too short to try things by hand.
const tokenLife = 24 * time.Hour

// The senders of requests, as the matrix and the table of --check name them.
const (
	noToken  = "none"
	teamA    = "team_a"
	mappedA  = "team_a[1]"
	retriedA = "team_a retry"
	leavingA = "team_a leaving" // reported up for retry while its request is answered
	workload = "workload"
	teamB    = "team_b"
	teamless = "teamless"
	unknown  = "unknown"
	expired  = "expired"
	forged   = "forged"
	garbage  = "garbage"
)

// The ids of their task instances.
const (
	idA       = "01990000-0000-7000-8000-0000000000a1"
	idMappedA = "01990000-0000-7000-8000-0000000000a2"
	idRetryA  = "01990000-0000-7000-8000-0000000000a3"
	idLeaveA  = "01990000-0000-7000-8000-0000000000a4"
	idB       = "01990000-0000-7000-8000-0000000000b1"
	idG       = "01990000-0000-7000-8000-000000000001"
	idUnknown = "01990000-0000-7000-8000-0000000000ff"
)

// demoSchema is what the demo needs of the metadata database of Airflow 3.2 and
// later: the tables that say who owns what, as Airflow has them (less foreign
// keys), and two for its stub.
const demoSchema = `
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
CREATE TABLE team (name VARCHAR(50) NOT NULL PRIMARY KEY);
CREATE TABLE dag (dag_id VARCHAR(250) NOT NULL PRIMARY KEY, is_paused BOOLEAN NOT NULL, bundle_name VARCHAR(250) NOT NULL);
CREATE TABLE dag_bundle_team (dag_bundle_name VARCHAR(250) NOT NULL PRIMARY KEY, team_name VARCHAR(50) NOT NULL);
CREATE TABLE task_instance (id CHAR(32) NOT NULL PRIMARY KEY, task_id VARCHAR(250) NOT NULL, dag_id VARCHAR(250) NOT NULL,
	run_id VARCHAR(250) NOT NULL, map_index INTEGER DEFAULT '-1' NOT NULL, state VARCHAR(20));
CREATE TABLE task_instance_history (task_instance_id CHAR(32) NOT NULL PRIMARY KEY, task_id VARCHAR(250) NOT NULL,
	dag_id VARCHAR(250) NOT NULL, run_id VARCHAR(250) NOT NULL, map_index INTEGER DEFAULT '-1' NOT NULL, try_number INTEGER NOT NULL);
CREATE TABLE variable (id INTEGER NOT NULL PRIMARY KEY, "key" VARCHAR(250) NOT NULL UNIQUE, val TEXT NOT NULL, team_name VARCHAR(50));
CREATE TABLE connection (id INTEGER NOT NULL PRIMARY KEY, conn_id VARCHAR(250) NOT NULL UNIQUE, conn_type VARCHAR(500) NOT NULL,
	host VARCHAR(500), team_name VARCHAR(50));
CREATE TABLE dag_run (dag_id VARCHAR(250) NOT NULL, run_id VARCHAR(250) NOT NULL, state VARCHAR(50) NOT NULL, PRIMARY KEY (dag_id, run_id));
CREATE TABLE xcom (dag_id VARCHAR(250) NOT NULL, run_id VARCHAR(250) NOT NULL, task_id VARCHAR(250) NOT NULL, map_index INTEGER NOT NULL,
	"key" VARCHAR(512) NOT NULL, value JSON, PRIMARY KEY (dag_id, run_id, task_id, map_index, "key"));
CREATE TABLE asset (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(1500) NOT NULL, uri VARCHAR(1500) NOT NULL, UNIQUE (name, uri));
CREATE TABLE asset_active (name VARCHAR(1500) NOT NULL UNIQUE, uri VARCHAR(1500) NOT NULL UNIQUE);
CREATE TABLE asset_alias (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(1500) NOT NULL UNIQUE);
CREATE TABLE asset_alias_asset (alias_id INTEGER NOT NULL, asset_id INTEGER NOT NULL, PRIMARY KEY (alias_id, asset_id));
CREATE TABLE asset_event (id INTEGER NOT NULL PRIMARY KEY, asset_id INTEGER NOT NULL);
CREATE TABLE asset_alias_asset_event (alias_id INTEGER NOT NULL, event_id INTEGER NOT NULL, PRIMARY KEY (alias_id, event_id));
`

// demoRows are the teams, their dags and tasks, and who owns what.
const demoRows = `
INSERT INTO alembic_version VALUES ('d2f4e1b3c5a7');
INSERT INTO team VALUES ('team_a'), ('team_b');
INSERT INTO dag VALUES ('dag_a', 0, 'bundle_a'), ('dag_a2', 0, 'bundle_a'), ('dag_b', 0, 'bundle_b'),
	('shared_b', 0, 'bundle_b'), ('triggered_b', 0, 'bundle_b'), ('dag_g', 0, 'bundle_g');
INSERT INTO dag_bundle_team VALUES ('bundle_a', 'team_a'), ('bundle_b', 'team_b');
INSERT INTO dag_run VALUES ('dag_a', 'run_1', 'running'), ('dag_a2', 'run_1', 'success'), ('dag_b', 'run_1', 'running'), ('dag_g', 'run_1', 'running'),
	('shared_b', 'run_1', 'success'), ('triggered_b', 'run_1', 'success');
INSERT INTO task_instance VALUES
	('` + idA + `', 't1', 'dag_a', 'run_1', -1, 'running'), ('` + idMappedA + `', 'mapped', 'dag_a', 'run_1', 1, 'running'),
	('` + idLeaveA + `', 'leaving', 'dag_a', 'run_1', -1, 'running'),
	('` + idB + `', 't1', 'dag_b', 'run_1', -1, 'running'), ('` + idG + `', 't1', 'dag_g', 'run_1', -1, 'running');
INSERT INTO task_instance_history VALUES ('` + idRetryA + `', 'retry', 'dag_a', 'run_1', -1, 1);
INSERT INTO variable ("key", val, team_name) VALUES
	('var_a', 'of team_a', 'team_a'), ('a/b', 'of team_a', 'team_a'), ('a_delete', 'of team_a', 'team_a'), ('a_keep', 'of team_a', 'team_a'),
	('var_b', 'of team_b', 'team_b'), ('b/c', 'of team_b', 'team_b'),
	('global_var', 'global', NULL), ('global_put', 'global', NULL), ('global_delete', 'global', NULL), ('keys', 'global', NULL);
INSERT INTO connection (conn_id, conn_type, host, team_name) VALUES
	('conn_a', 'http', 'a.example.com', 'team_a'), ('conn_b', 'http', 'b.example.com', 'team_b'), ('global_conn', 'http', 'example.com', NULL);
INSERT INTO xcom VALUES
	('dag_a', 'run_1', 't1', -1, 'return_value', '"of t1"'), ('dag_a', 'run_1', 't1', -1, 'to_delete', '1'),
	('dag_a', 'run_1', 't2', -1, 'return_value', '"of t2"'),
	('dag_a', 'run_1', 'mapped', 0, 'return_value', '0'), ('dag_a', 'run_1', 'mapped', 1, 'return_value', '1'),
	('dag_a', 'run_1', 'mapped', 2, 'return_value', '2'),
	('dag_a2', 'run_1', 't1', -1, 'return_value', '"of team_a"'), ('dag_b', 'run_1', 't1', -1, 'return_value', '"of team_b"'),
	('dag_g', 'run_1', 't1', -1, 'return_value', '"global"');
`

// demoOwners is the ownership file: it names the owners of assets, and what team_b
// grants team_a.
const demoOwners = `assets:
  stock: team_b
  deliveries: team_b
grants:
  - to: team_a
    dags: [shared_b]
    assets: [deliveries]
  - to: team_a
    dags: ["triggered_*"]
    access: trigger
`

// demoIDs removes the dashes from the ids, as Airflow stores them outside
// PostgreSQL.
const demoIDs = `
UPDATE task_instance SET id = replace(id, '-', '');
UPDATE task_instance_history SET task_instance_id = replace(task_instance_id, '-', '');
`

// world is the demo's Airflow: its metadata database, a temporary file, and its
// tokens. Close it.
type world struct {
	dir    string
	db     *sql.DB
	secret string
	tokens map[string]string // by who asks
}

func newWorld(ctx context.Context) (*world, error) {
	dir, err := os.MkdirTemp("", "dagfence-demo-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the database: %w", err)
	}
	w := &world{dir: dir, secret: rand.Text()}
	err = errors.Join(w.openDatabase(ctx), os.WriteFile(w.ownershipFile(), []byte(demoOwners), 0o600), w.mint(time.Now()))
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) path() string { return filepath.Join(w.dir, "airflow.db") }

func (w *world) ownershipFile() string { return filepath.Join(w.dir, "owners.yaml") }

// databaseURL returns the database as in Airflow's sql_alchemy_conn.
func (w *world) databaseURL() string {
	return "sqlite:///" + (&url.URL{Path: filepath.ToSlash(w.path())}).EscapedPath()
}

func (w *world) openDatabase(ctx context.Context) (err error) {
	file := url.URL{Scheme: "file", Path: w.path(), RawQuery: url.Values{
		"_pragma": {"journal_mode(wal)", "synchronous(off)", "busy_timeout(2000)"}, // WAL, as Airflow does
	}.Encode()}
	if w.db, err = sql.Open("sqlite", file.String()); err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	w.db.SetMaxOpenConns(1) // SQLite has one writer
	for _, script := range []string{demoSchema, demoRows, demoIDs} {
		if _, err := w.db.ExecContext(ctx, script); err != nil {
			return fmt.Errorf("filling the database: %w", err)
		}
	}
	return nil
}

// mint signs the tokens, with the claims that Airflow signs.
func (w *world) mint(now time.Time) error {
	w.tokens = map[string]string{garbage: "not.a.token"}
	var errs []error
	sign := func(who, id, scope, secret string, expires time.Time) {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS512, jwt.MapClaims{
			"sub": id, "scope": scope, "aud": config.DefaultAudience, "jti": rand.Text(),
			"iat": expires.Add(-tokenLife).Unix(), "nbf": expires.Add(-tokenLife).Unix(), "exp": expires.Unix(),
		}).SignedString([]byte(secret))
		w.tokens[who] = token
		errs = append(errs, err)
	}
	for who, id := range map[string]string{
		teamA: idA, mappedA: idMappedA, retriedA: idRetryA, leavingA: idLeaveA, teamB: idB, teamless: idG, unknown: idUnknown,
	} {
		sign(who, id, "execution", w.secret, now.Add(tokenLife))
	}
	sign(workload, idA, "workload", w.secret, now.Add(tokenLife))
	sign(expired, idA, "execution", w.secret, now.Add(-time.Minute))
	sign(forged, idA, "execution", rand.Text(), now.Add(tokenLife))
	return errors.Join(errs...)
}

// team returns the team of a task instance's dag, invalid for none, and
// sql.ErrNoRows for an unknown task instance.
func (w *world) team(ctx context.Context, id string) (team sql.NullString, err error) {
	err = w.db.QueryRowContext(ctx, `SELECT b.team_name FROM task_instance i JOIN dag d ON d.dag_id = i.dag_id
		LEFT JOIN dag_bundle_team b ON b.dag_bundle_name = d.bundle_name WHERE i.id = ?`, hexID(id)).Scan(&team)
	return team, err
}

// retry moves a task instance to the history, as a report of up for retry does.
func (w *world) retry(ctx context.Context, id string) error {
	_, err := w.db.ExecContext(ctx, `INSERT INTO task_instance_history SELECT id, task_id, dag_id, run_id, map_index, 1 FROM task_instance WHERE id = ?1;
		DELETE FROM task_instance WHERE id = ?1`, hexID(id))
	return err
}

func hexID(id string) string { return strings.ReplaceAll(id, "-", "") }

// close removes everything.
func (w *world) close() error {
	var err error
	if w.db != nil {
		err = w.db.Close()
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}
