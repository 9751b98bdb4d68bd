package lookup

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/dagfence/dagfence/resolver"
)

// currentSchema returns the schema that was detected within schemaFor, or detects it.
func (m *metadata) currentSchema(ctx context.Context) (*knownSchema, error) {
	if s := m.schema.Load(); s != nil && m.now().Sub(s.asOf) < schemaFor {
		return s, nil
	}
	return m.detectSchema(ctx)
}

// detectSchema detects the database's schema and tries every query on it, so that
// a missing grant shows at once. Callers at the same time share one probe,
// which outlives a caller that gives up. Errors wrap
// [resolver.ErrUnavailable], and errSchema where the database was reached.
func (m *metadata) detectSchema(ctx context.Context) (*knownSchema, error) {
	shared := m.probe.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.timeout)
		defer cancel()
		s, err := m.probeSchema(ctx)
		if err == nil {
			if old := m.schema.Swap(s); old == nil || old.releases != s.releases {
				m.logger.Info("metadata database reached", "dialect", m.dialect.name, "airflow", s.releases)
			}
		} else if errors.Is(err, errSchema) {
			m.schema.Store(nil)
		}
		m.reportError(err)
		return s, err
	})
	select {
	case <-ctx.Done():
		return nil, m.explain("reaching the metadata database", ctx.Err())
	case result := <-shared:
		s, ok := result.Val.(*knownSchema)
		if result.Err != nil || !ok {
			return nil, result.Err
		}
		return s, nil
	}
}

// probeSchema finds the first schema whose marker the database takes, and of which
// it takes every query.
func (m *metadata) probeSchema(ctx context.Context) (*knownSchema, error) {
	asOf := m.now()
	var misses []string
	for i := range schemas {
		s := &knownSchema{schema: &schemas[i], queries: m.adaptAll(schemas[i].queries), asOf: asOf}
		marked := m.tryMarker(ctx, s.schema)
		err := marked
		if err == nil {
			err = m.tryQueries(ctx, s)
		}
		switch t := classOf(err); {
		case err == nil:
			return s, nil
		case t == grantMissing && m.dialect.denialMeansExists:
			return nil, m.explain("reading the schema of Airflow "+s.releases, fmt.Errorf("%w: %w", errSchema, err))
		case t != schemaMissing && t != grantMissing && !errors.Is(err, errRevision):
			return nil, m.explain("reaching the metadata database", err)
		}
		misses = append(misses, fmt.Sprintf("not that of Airflow %s (%v)", s.releases, err))
		if marked == nil {
			break // older ones may have queries that run, and know no teams
		}
	}
	return nil, fmt.Errorf("%w: %w: unknown schema, not one of Airflow %s: %s: set database to Airflow's own, or %s",
		resolver.ErrUnavailable, errSchema, knownReleases(), strings.Join(misses, ", "), m.schemaHint())
}

// tryMarker returns nil if the database has the schema's marker.
func (m *metadata) tryMarker(ctx context.Context, s *schema) error {
	rows, err := m.db.QueryContext(ctx, m.adapt(s.marker))
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below returns every fault of reading
	var revision string
	for rows.Next() {
		if err := rows.Scan(&revision); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if s.revisions != nil && !slices.Contains(s.revisions, revision) {
		return fmt.Errorf("%w %q", errRevision, revision)
	}
	return nil
}

// tryQueries runs each query for a name that nothing has, all at once: where
// every answer of the database takes long, one after the other would not end in
// time.
func (m *metadata) tryQueries(ctx context.Context, s *knownSchema) error {
	var queries errgroup.Group
	for kind := range s.queries {
		if kind.IsAsset() && kind != resolver.KindAsset { // which asks all that the others do
			continue
		}
		queries.Go(func() error {
			_, err := m.query(ctx, s, resolver.Key{Kind: kind, Name: "00000000-0000-0000-0000-000000000000"})
			if err != nil {
				return fmt.Errorf("asking for a %s: %w", kind, err)
			}
			return nil
		})
	}
	return queries.Wait()
}

func (m *metadata) adaptAll(queries map[resolver.Kind]string) map[resolver.Kind]string {
	adapted := make(map[resolver.Kind]string, len(queries))
	for kind, text := range queries {
		adapted[kind] = m.adapt(text)
	}
	return adapted
}

// tableName finds the names of tables in our queries, and no function's.
var tableName = regexp.MustCompile(`\b(FROM|JOIN|UPDATE) ([a-z_]+)( |$)`)

// adapt writes parameters and UUIDs of a query as the dialect has them, and tables
// with their schema, as SQLAlchemy does. A search_path would not do: a pooler may
// drop what a session asks for.
func (m *metadata) adapt(query string) string {
	if m.tables != "" {
		query = tableName.ReplaceAllStringFunc(query, func(found string) string {
			before, name, _ := strings.Cut(found, " ")
			return before + " " + m.tables + name
		})
	}
	query = strings.ReplaceAll(query, nilUUID, m.dialect.nilUUID)
	if m.dialect.numbered {
		return strings.ReplaceAll(query, "?", "$1")
	}
	return query
}
