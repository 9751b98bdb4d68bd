package lookup

import (
	"context"
	"database/sql"
	"strconv"
)

// pageSize is how many rows are read in one statement, so that none takes long.
const pageSize = 20_000

// snapshot is a place in the history of a PostgreSQL database; zero elsewhere.
//
// Setting the team of a variable or connection locks the team's row, because
// the foreign key is checked with FOR KEY SHARE, and the row's xmax then has the
// transaction's id. So the few rows of team show whether any of the many rows of
// variable and connection may have changed hands. A row of a team locked by a
// transaction that is still to commit has its new xmax already.
type snapshot struct {
	// oldest is the id of the oldest transaction that was under way, and next
	// the first that was not handed out.
	oldest, next int64
	teamLocks    string
}

const (
	// A snapshot's xmax comes behind the last transaction that ended; younger
	// ones may be under way.
	snapshotQuery  = "SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint + age(pg_snapshot_xmax(s)::xid), "
	teamLocksQuery = "(SELECT COALESCE(string_agg(t.name || ' ' || t.xmax::text, ',' ORDER BY t.name), '') FROM team t)"
	snapshotFrom   = " FROM pg_current_snapshot() s"
	// sinceTransaction is true of rows that were written by a transaction, or a later
	// one. Ids are compared by their age, as they wrap around.
	sinceTransaction = " WHERE age(o.xmin) <= (SELECT age($1::text::xid))"
)

// currentSnapshot returns the current snapshot.
func (m *metadata) currentSnapshot(ctx context.Context, s *schema) (snapshot, error) {
	if !m.dialect.snapshots {
		return snapshot{}, nil
	}
	locks := "''"
	if s.bundles != "" { // there are teams
		locks = teamLocksQuery
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	var now snapshot
	if err := m.db.QueryRowContext(ctx, m.adapt(snapshotQuery+locks+snapshotFrom)).Scan(&now.oldest, &now.next, &now.teamLocks); err != nil {
		return snapshot{}, m.explain("watching the metadata database", err)
	}
	return now, nil
}

// rowsSince visits the rows that were written by the transaction or a later one;
// all rows if it is 0.
func (m *metadata) rowsSince(ctx context.Context, table *watched, transaction int64, visit func(name, value string)) error {
	if transaction != 0 {
		low := strconv.FormatInt(transaction&0xffffffff, 10) // a row has the lower half
		return m.pairs(ctx, m.adapt(table.rows+sinceTransaction), []any{low}, visit)
	}
	query := m.adapt(table.rows + " WHERE " + table.name + " > ? ORDER BY " + table.name + " LIMIT " + strconv.Itoa(pageSize))
	last, read := "", pageSize
	for read == pageSize {
		read = 0
		if err := m.pairs(ctx, query, []any{last}, func(name, value string) {
			last = name
			read++
			visit(name, value)
		}); err != nil {
			return err
		}
	}
	return nil
}

// pairs visits the rows of a query for two texts.
func (m *metadata) pairs(ctx context.Context, query string, args []any, visit func(name, value string)) error {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	rows, err := m.db.QueryContext(ctx, query, args...)
	if err != nil {
		return m.explain("watching the metadata database", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below returns every fault of reading
	var name, value sql.NullString
	for rows.Next() {
		if err := rows.Scan(&name, &value); err != nil {
			return m.explain("watching the metadata database", err)
		}
		visit(name.String, value.String)
	}
	if err := rows.Err(); err != nil {
		return m.explain("watching the metadata database", err)
	}
	return nil
}
