package lookup

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"

	"github.com/dagfence/dagfence/lookup/sqlalchemy"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/rotate"
)

const (
	// maxConnections bounds what one process takes of the database's.
	maxConnections = 8
	// schemaFor is how long a schema is believed. Airflow may be upgraded
	// beside us, and 3.0's queries, which know no teams, would still run.
	schemaFor = time.Minute
)

var (
	// errSchema marks a database that was reached and can't be read.
	errSchema = errors.New("not a metadata database that can be read")
	// errRevision marks a database whose migration revision is none of a schema's.
	errRevision = errors.New("alembic_version is")
	errBusy     = fmt.Errorf("all %d connections are busy", maxConnections)
)

// metadata is Airflow's metadata database, read-only.
type metadata struct {
	db      *sql.DB
	dialect dialect
	// tables is what stands before the name of each table: Airflow's schema.
	tables  string
	timeout time.Duration
	now     func() time.Time
	logger  *slog.Logger
	// busy holds one for each question that has a connection.
	busy chan struct{}

	schema atomic.Pointer[knownSchema]
	probe  singleflight.Group

	mu sync.Mutex
	// failing has the classes of errors that were logged since the database last
	// answered; empty while it does.
	failing map[errorClass]bool
}

// knownSchema is a schema that was found, with the dialect's parameters.
type knownSchema struct {
	*schema

	queries map[resolver.Kind]string
	asOf    time.Time
}

// record is what the database has for one key.
type record struct {
	found bool
	// stored is the name as the row has it.
	stored string
	task   resolver.Task
	// current: the task is the current attempt.
	current bool
	// names are those of an asset's or alias's rows.
	names []string
	// dagExists: the dag's row is there, so bundle and team are known.
	dagExists bool
	bundle    string
	team      string
	// err, if set, wraps [resolver.ErrUnavailable]; the rest says nothing then.
	err error
}

// openMetadata opens the database and, if it can be reached, detects its schema.
func openMetadata(options Options) (*metadata, error) {
	u, err := sqlalchemy.Parse(options.Database)
	if err != nil {
		return nil, err
	}
	m := &metadata{
		dialect: dialects[u.Server()], timeout: options.Timeout, now: options.now, logger: options.Logger, busy: make(chan struct{}, maxConnections),
	}
	if schema := options.DatabaseSchema; strings.TrimSpace(schema) != "" { // as Airflow takes it (models/base.py, _get_schema)
		m.tables = m.dialect.quoted(schema) + "."
	}
	connector, err := m.connector(options)
	if err != nil {
		return nil, err
	}
	m.db = sql.OpenDB(connector)
	m.db.SetMaxOpenConns(maxConnections)
	m.db.SetMaxIdleConns(maxConnections)
	m.db.SetConnMaxIdleTime(5 * time.Minute)
	m.db.SetConnMaxLifetime(30 * time.Minute)
	ctx, cancel := context.WithTimeout(context.Background(), options.Timeout)
	defer cancel()
	if _, err := m.detectSchema(ctx); errors.Is(err, errSchema) {
		m.close()
		return nil, err
	}
	return m, nil
}

// connector connects with what the URL and the files that it names say at the
// time.
func (m *metadata) connector(options Options) (driver.Connector, error) {
	parse := func(text string) (sqlalchemy.URL, error) {
		u, err := sqlalchemy.Parse(text)
		if err == nil && u.Server() != m.dialect.name {
			err = fmt.Errorf("dialect changed from %s to %s: restart dagfence", m.dialect.name, u.Server())
		}
		return u, err
	}
	current, err := rotate.New(rotate.Source[driver.Connector]{
		Name: "database", Logger: options.Logger, Text: options.Refresh,
		Files: func(text string) []string {
			u, err := parse(text)
			if err != nil {
				return nil
			}
			return u.Files()
		},
		Make: func(text string) (driver.Connector, error) {
			u, err := parse(text)
			if err != nil {
				return nil, err
			}
			return u.Connector(options.Timeout, options.Logger)
		},
		Retire: func(driver.Connector) { // with the idle connections that it has made
			m.db.SetMaxIdleConns(0)
			m.db.SetMaxIdleConns(maxConnections)
		},
	})
	return followedConnector{current}, err
}

// followedConnector connects with the credentials of the moment.
type followedConnector struct {
	*rotate.Value[driver.Connector]
}

func (c followedConnector) Connect(ctx context.Context) (conn driver.Conn, err error) {
	err = c.Use(func(connector driver.Connector) error {
		conn, err = connector.Connect(ctx)
		return err
	})
	return conn, err
}

func (c followedConnector) Driver() driver.Driver { return c.Get().Driver() }

func (m *metadata) close() { _ = m.db.Close() } // nothing was written

// ask returns one record for each key, in order. Several questions are several
// queries at once, each on a connection of the pool.
func (m *metadata) ask(ctx context.Context, keys []resolver.Key) []record {
	records := make([]record, len(keys))
	s, err := m.currentSchema(ctx)
	if err != nil {
		for i := range records {
			records[i].err = err
		}
		return records
	}
	var others sync.WaitGroup
	for i := 1; i < len(keys); i++ {
		others.Go(func() { records[i] = m.askOne(ctx, s, keys[i]) })
	}
	records[0] = m.askOne(ctx, s, keys[0])
	others.Wait()
	m.report(records)
	return records
}

// askOne asks for one key. A schema that proves wrong is forgotten.
func (m *metadata) askOne(ctx context.Context, s *knownSchema, key resolver.Key) record {
	r, err := m.queryInTurn(ctx, s, key)
	if err != nil {
		if classOf(err) == schemaMissing {
			m.schema.CompareAndSwap(s, nil)
		}
		return record{err: m.explain(fmt.Sprintf("asking the metadata database for a %s", key.Kind), err)}
	}
	return r
}

// queryInTurn waits for a connection, but only for half of the time that a
// question has: begun later, it would often be given up half-way, and its
// connection with it, so that the database would answer the less the more it is
// asked.
func (m *metadata) queryInTurn(ctx context.Context, s *knownSchema, key resolver.Key) (record, error) {
	timer := time.NewTimer(m.timeout / 2)
	defer timer.Stop()
	select {
	case m.busy <- struct{}{}:
	case <-timer.C:
		return record{}, errBusy
	case <-ctx.Done():
		return record{}, ctx.Err()
	}
	defer func() { <-m.busy }()
	return m.query(ctx, s, key)
}

// query reads the row that the database takes for the key's name. MySQL's
// collations may equate case, accents and trailing whitespace. Airflow asks in the
// same way, and hands out the value of the row it gets: so that row's owner is
// the one that counts, whatever the name that was asked for.
func (m *metadata) query(ctx context.Context, s *knownSchema, key resolver.Key) (record, error) {
	text, known := s.queries[key.Kind]
	if !known {
		return record{}, fmt.Errorf("%v has no query", key.Kind)
	}
	name := key.Name
	if key.Kind == resolver.KindTask {
		// Only the form that Airflow writes can be the id of a task instance.
		if id, err := uuid.Parse(name); err != nil || id.String() != name {
			return record{}, nil
		}
		if s.hexIDs && !m.dialect.nativeUUID {
			name = strings.ReplaceAll(name, "-", "")
		}
	}
	args := []any{name}
	if !m.dialect.numbered {
		args = slices.Repeat(args, strings.Count(text, "?"))
	}
	rows, err := m.db.QueryContext(ctx, text, args...)
	if key.Kind.IsAsset() && isBeyondCollation(err) {
		return record{}, nil
	}
	if err != nil {
		return record{}, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below returns every fault of reading
	var kept record
	for rows.Next() {
		add := kept.add
		if key.Kind.IsAsset() {
			add = kept.addAsset
		}
		if err := add(rows); err != nil {
			return record{}, err
		}
	}
	return kept, rows.Err()
}

// add reads a row. Several are an error unless they say the same, but for which
// attempt is current: an id that is in task_instance is, wherever else it is.
func (r *record) add(rows *sql.Rows) error {
	var (
		next      record
		dag, team sql.NullString
	)
	err := rows.Scan(&next.stored, &next.task.DagID, &next.task.RunID, &next.task.TaskID, &next.task.MapIndex, &next.current, &dag, &next.bundle, &team)
	if err != nil {
		return err
	}
	if !team.Valid {
		return errors.New("its team has no row: add the team, or remove the reference")
	}
	next.found, next.team = true, team.String
	next.dagExists = dag.Valid && dag.String == next.task.DagID
	if r.found {
		next.current = next.current || r.current
		if r.stored != next.stored || r.task != next.task || r.dagExists != next.dagExists || r.bundle != next.bundle || r.team != next.team {
			return errors.New("two rows differ: remove one")
		}
	}
	*r = next
	return nil
}

// addAsset reads a row of names: an alias's, an asset's name and its URI. An alias
// that leads to nothing has the first alone.
func (r *record) addAsset(rows *sql.Rows) error {
	var names [3]string
	if err := rows.Scan(&names[0], &names[1], &names[2]); err != nil {
		return err
	}
	r.found = true
	for _, name := range names {
		if name != "" && !slices.Contains(r.names, name) {
			r.names = append(r.names, name)
		}
	}
	return nil
}

// report logs when the database begins and ends to fail, and only then.
func (m *metadata) report(records []record) {
	var err error
	for _, r := range records {
		if errors.Is(r.err, errBusy) {
			return // this is our own doing, and tells nothing of the database
		}
		if r.err != nil {
			err = r.err
		}
	}
	m.reportError(err)
}

// reportError logs each class of error once until the database answers again: a
// migration that is under way is another than the grants that it left missing.
func (m *metadata) reportError(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		if m.failing != nil {
			m.logger.Info("metadata database available again")
		}
		m.failing = nil
		return
	}
	kind := classOf(err)
	if m.failing == nil {
		m.failing = make(map[errorClass]bool)
	}
	if !m.failing[kind] {
		m.failing[kind] = true
		m.logger.Error("metadata database unavailable", "error", err)
	}
}
