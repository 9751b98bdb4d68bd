package lookup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-sql-driver/mysql"
)

// Inspection is what an operator may want to know of the metadata database,
// beyond that it can be asked.
type Inspection struct {
	// Dialect is "postgresql", "mysql" or "sqlite", and names the grants script
	// in deploy/grants; SQLite has none.
	Dialect string
	// Releases are the Airflow releases that have the database's schema.
	Releases string
	// Teams tells that some bundle of dags belongs to a team.
	Teams bool
	// TeamNames are those of the database and of the ownership file, sorted.
	TeamNames []string
	// Excess is what the fence's role may do and should not, such as "read
	// variable.val". Empty with SQLite, which has no roles.
	Excess []string
}

// excesses are statements that the fence's role must not be able to run.
// Explained, an UPDATE is checked for the right to it, and changes nothing.
var excesses = []struct{ may, statement string }{
	{"read variable.val", "SELECT v.val FROM variable v WHERE 1 = 0"},
	{"read connection.password", "SELECT c.password FROM connection c WHERE 1 = 0"},
	{"write variable", "EXPLAIN UPDATE variable SET val = val WHERE 1 = 0"},
	{"write connection", "EXPLAIN UPDATE connection SET password = password WHERE 1 = 0"},
	{"write dag", "EXPLAIN UPDATE dag SET bundle_name = bundle_name WHERE 1 = 0"},
}

// Inspect learns the schema, tries every query on it, and looks what else the
// role may do. It reads no value and changes nothing. Its error is that of
// [Directory.Ready], or says that there is no database to inspect.
func (d *Directory) Inspect(ctx context.Context) (Inspection, error) {
	if d.metadata == nil {
		return Inspection{}, errors.New("database: none is set")
	}
	m := d.metadata
	s, err := m.learnSchema(ctx)
	if err != nil {
		return Inspection{}, fmt.Errorf("database: %w", err)
	}
	found := Inspection{Dialect: m.dialect.name, Releases: s.releases}
	found.Teams, err = m.permits(ctx, "SELECT b.dag_bundle_name FROM dag_bundle_team b LIMIT 1", true)
	if err != nil {
		return Inspection{}, fmt.Errorf("database: %w", err)
	}
	if found.TeamNames, err = d.teamNames(ctx); err != nil {
		return Inspection{}, fmt.Errorf("database: %w", err)
	}
	if m.dialect.name == sqlite.name {
		return found, nil
	}
	for _, excess := range excesses {
		permitted, err := m.permits(ctx, excess.statement, false)
		if err != nil {
			return Inspection{}, fmt.Errorf("database: %w", err)
		}
		if permitted {
			found.Excess = append(found.Excess, excess.may)
		}
	}
	return found, nil
}

// teamNames returns the names of all teams: Airflow's, of which 3.0 has none, and
// those that the ownership file gives something.
func (d *Directory) teamNames(ctx context.Context) ([]string, error) {
	names := d.owners().teams()
	rows, err := d.metadata.db.QueryContext(ctx, d.metadata.adapt("SELECT t.name FROM team t"))
	if err == nil {
		defer rows.Close() //nolint:errcheck // rows.Err below returns every fault of reading
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return nil, d.metadata.explain("reading the names of teams", err)
			}
			names[name] = struct{}{}
		}
		err = rows.Err()
	}
	// In 3.0 the table is absent, which MySQL calls denied. In others the role may
	// read it, or the queries of the schema would have failed.
	if t := troubleOf(err); err != nil && t != troubleAbsent && t != troubleDenied {
		return nil, d.metadata.explain("reading the names of teams", err)
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// mysqlReadOnly is MySQL's ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: the session
// stops what the role's grants do not.
const mysqlReadOnly = 1792

// permits tells whether the role may run the statement, and, if rows are wanted,
// that it gives any. What does not exist is not permitted.
func (m *metadata) permits(ctx context.Context, statement string, wantRows bool) (bool, error) {
	rows, err := m.db.QueryContext(ctx, m.adapt(statement))
	if err == nil {
		some := rows.Next()
		err = errors.Join(rows.Err(), rows.Close())
		if err == nil {
			return some || !wantRows, nil
		}
	}
	if t := troubleOf(err); t == troubleAbsent || t == troubleDenied {
		return false, nil
	}
	if refusal, ok := errors.AsType[*mysql.MySQLError](err); ok && refusal.Number == mysqlReadOnly {
		return true, nil
	}
	return false, m.explain("looking what the role may do", err)
}
