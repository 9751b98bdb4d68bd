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

// currentSchema gives the schema that was learnt lately, or learns it.
func (m *metadata) currentSchema(ctx context.Context) (*learntSchema, error) {
	if s := m.schema.Load(); s != nil && m.now().Sub(s.learnt) < schemaFor {
		return s, nil
	}
	return m.learnSchema(ctx)
}

// learnSchema tells the database's schema and tries every query on it, so that
// a missing grant shows at once. Callers at the same time share one probe,
// which outlives a caller that gives up. Errors wrap
// [resolver.ErrUnavailable], and errSchema where the database was reached.
func (m *metadata) learnSchema(ctx context.Context) (*learntSchema, error) {
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
		s, ok := result.Val.(*learntSchema)
		if result.Err != nil || !ok {
			return nil, result.Err
		}
		return s, nil
	}
}

func (m *metadata) probeSchema(ctx context.Context) (*learntSchema, error) {
	learnt := m.now()
	var misses []string
	for i := range schemas {
		s := &schemas[i]
		miss, err := m.tryMarker(ctx, s)
		if err != nil {
			return nil, m.explain("reaching the metadata database", err)
		}
		if miss == "" {
			return m.tryQueries(ctx, s, &learntSchema{schema: s, queries: m.adaptAll(s.queries), learnt: learnt})
		}
		misses = append(misses, fmt.Sprintf("not that of Airflow %s (%s)", s.releases, miss))
	}
	return nil, fmt.Errorf("%w: %w: its schema is none that is known: %s; point database at Airflow's own, run `airflow db migrate`, %s, and upgrade dagfence where Airflow is newer",
		resolver.ErrUnavailable, errSchema, strings.Join(misses, ", "), m.grantsMend())
}

// tryMarker tells why the database is not of the schema, or "" if it is.
func (m *metadata) tryMarker(ctx context.Context, s *schema) (miss string, err error) {
	rows, err := m.db.QueryContext(ctx, m.adapt(s.marker))
	if err == nil {
		defer rows.Close() //nolint:errcheck // rows.Err below tells of every fault of reading
		var revision string
		for rows.Next() {
			if err := rows.Scan(&revision); err != nil {
				return "", err
			}
		}
		if err = rows.Err(); err == nil {
			if s.revisions != nil && !slices.Contains(s.revisions, revision) {
				return fmt.Sprintf("alembic_version is %q", revision), nil
			}
			return "", nil
		}
	}
	if t := troubleOf(err); t == troubleAbsent || t == troubleDenied {
		return err.Error(), nil
	}
	return "", err
}

// tryQueries runs each query for a name that nothing has, all at once: where
// every answer of the database takes long, one after the other would not end in
// time.
func (m *metadata) tryQueries(ctx context.Context, s *schema, learnt *learntSchema) (*learntSchema, error) {
	var queries errgroup.Group
	for kind := range s.queries {
		if isAsset(kind) && kind != resolver.KindAsset { // which asks all that the others do
			continue
		}
		queries.Go(func() error {
			nothing := resolver.Key{Kind: kind, Name: "00000000-0000-0000-0000-000000000000"}
			_, err := m.query(ctx, learnt, nothing)
			if err == nil {
				return nil
			}
			doing := fmt.Sprintf("asking the metadata database of Airflow %s for a %s", s.releases, kind)
			if t := troubleOf(err); t == troubleAbsent || t == troubleDenied {
				return fmt.Errorf("%w: %w", errSchema, m.explain(doing, err))
			}
			return m.explain(doing, err)
		})
	}
	if err := queries.Wait(); err != nil {
		return nil, err
	}
	return learnt, nil
}

func (m *metadata) adaptAll(queries map[resolver.Kind]string) map[resolver.Kind]string {
	adapted := make(map[resolver.Kind]string, len(queries))
	for kind, text := range queries {
		adapted[kind] = m.adapt(text)
	}
	return adapted
}

// tableName finds the names of tables in our queries, each of which has an alias
// or a SET behind it.
var tableName = regexp.MustCompile(`\b(FROM|JOIN|UPDATE) ([a-z_]+) `)

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
