package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/dagfence/dagfence/lookup/sqlalchemy"
	"github.com/dagfence/dagfence/resolver"
)

// Inspection is what an operator may want to know of the metadata database,
// beyond that it can be asked.
type Inspection struct {
	// Dialect is "postgresql", "mysql" or "sqlite", and names the grants script
	// in deploy/grants; SQLite has none.
	Dialect string
	// Releases are the Airflow releases that have the database's schema.
	Releases string
	// Teams reports that some bundle of dags belongs to a team.
	Teams bool
	// TeamNames are those of the database and of the ownership file, sorted, without
	// strays that are another spelling of one.
	TeamNames []string
	// Strays are the teams of the ownership file that Airflow does not have. Empty
	// where Airflow has no teams at all.
	Strays []Stray
	// IdleGrants are the grants of the ownership file that grant nothing, each as a
	// sentence.
	IdleGrants []string
	// Excess is what the fence's role may do and should not, such as "read
	// variable.val". Empty with SQLite, which has no roles.
	Excess []string
}

// Stray is a team that has something by the ownership file and no row in Airflow's
// team table, so that only the file can make a dag its own.
type Stray struct {
	Team string
	// Row is a team that Airflow has, and that differs in case alone; else empty.
	// Airflow 3.4 makes the names of all teams lower case (migration 0131).
	Row string
}

// String says what is wrong, and the fix.
func (s Stray) String() string {
	if s.Row == "" {
		return fmt.Sprintf("the ownership file names team %q, which Airflow does not have, so no dag of Airflow's teams may use what that team owns: correct the name, or create the team", s.Team)
	}
	return fmt.Sprintf("the ownership file names team %q, which Airflow does not have; %q differs only in case (Airflow 3.4 makes team names lower case): write %q in the file", s.Team, s.Row, s.Row)
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

// Inspect detects the schema, tries every query on it, and looks what else the
// role may do. It reads no value and changes nothing. Its error is that of
// [Directory.Ready], or says that there is no database to inspect.
func (d *Directory) Inspect(ctx context.Context) (Inspection, error) {
	if d.metadata == nil {
		return Inspection{}, &OptionError{"database", errors.New("none is set")}
	}
	m := d.metadata
	s, err := m.detectSchema(ctx)
	if err != nil {
		return Inspection{}, &OptionError{"database", err}
	}
	found := Inspection{Dialect: m.dialect.name, Releases: s.releases}
	found.Teams, err = m.permits(ctx, "SELECT b.dag_bundle_name FROM dag_bundle_team b LIMIT 1", true)
	if err != nil {
		return Inspection{}, &OptionError{"database", err}
	}
	rows, err := m.teams(ctx)
	if err != nil {
		return Inspection{}, &OptionError{"database", err}
	}
	given := d.owners().teams()
	found.Strays = strays(given, rows)
	for _, row := range rows {
		given[row] = struct{}{}
	}
	for _, stray := range found.Strays {
		if stray.Row != "" {
			delete(given, stray.Team)
		}
	}
	found.TeamNames = slices.Sorted(maps.Keys(given))
	if found.IdleGrants, err = d.idleGrants(ctx); err != nil {
		return Inspection{}, fmt.Errorf("database: %w", err)
	}
	if m.dialect.name == sqlalchemy.SQLite {
		return found, nil
	}
	for _, excess := range excesses {
		permitted, err := m.permits(ctx, excess.statement, false)
		if err != nil {
			return Inspection{}, &OptionError{"database", err}
		}
		if permitted {
			found.Excess = append(found.Excess, excess.may)
		}
	}
	return found, nil
}

// idleGrants returns what is wrong with the grants of dags that grant nothing.
func (d *Directory) idleGrants(ctx context.Context) (idle []string, err error) {
	owners := d.owners()
	if owners == nil {
		return nil, nil
	}
	for _, entry := range owners.grants.given {
		for _, name := range entry.dags {
			why, err := d.whyIdle(ctx, name, entry.to)
			if err != nil {
				return nil, err
			}
			if why != "" {
				idle = append(idle, fmt.Sprintf("line %d of the ownership file grants dag %q, %s", entry.line, name, why))
			}
		}
	}
	return idle, nil
}

// whyIdle returns why a grant of a dag, or of all with a prefix, grants nothing;
// empty where it does.
func (d *Directory) whyIdle(ctx context.Context, name string, to []string) (string, error) {
	if prefix, isPrefix := strings.CutSuffix(name, "*"); isPrefix {
		const statement = "SELECT d.dag_id FROM dag d WHERE d.dag_id LIKE ? ESCAPE '!'"
		escaped := strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(prefix)
		some, err := d.metadata.permits(ctx, statement+" LIMIT 1", true, escaped+"%")
		if err == nil && !some {
			return "and no dag's name starts so: correct the prefix, or remove it", nil
		}
		return "", err
	}
	answer := d.Resolve(ctx, []resolver.Question{{Key: resolver.Key{Kind: resolver.KindDag, Name: name}}})[0]
	switch {
	case answer.Outcome == resolver.NotFound:
		return "which does not exist: correct the name, or remove it", nil
	case answer.Outcome != resolver.Found:
		return "", answer.Err
	case answer.Team == "":
		return "which is global, so every team may use it: name its owner, or remove the grant", nil
	case len(to) == 1 && to[0] == answer.Team:
		return fmt.Sprintf("to team %q, which owns it: remove the grant", answer.Team), nil
	}
	return "", nil
}

// strays returns the teams that are given something and have no row, sorted.
func strays(given map[string]struct{}, rows []string) (found []Stray) {
	if len(rows) == 0 {
		return nil
	}
	for _, team := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(rows, team) {
			continue
		}
		stray := Stray{Team: team}
		if i := slices.IndexFunc(rows, func(row string) bool { return strings.EqualFold(row, team) }); i >= 0 {
			stray.Row = rows[i]
		}
		found = append(found, stray)
	}
	return found
}

// warnOfStrays logs them, if the database can be asked.
func (d *Directory) warnOfStrays(logger *slog.Logger) {
	if d.ownership == nil || d.metadata == nil || d.metadata.schema.Load() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.timeout)
	defer cancel()
	rows, err := d.metadata.teams(ctx)
	if err != nil {
		logger.Warn("failed to compare the ownership file's teams with Airflow's", "error", err)
	}
	for _, stray := range strays(d.owners().teams(), rows) {
		logger.Warn(stray.String())
	}
}

// teams returns the names of Airflow's teams; 3.0 has none.
func (m *metadata) teams(ctx context.Context) (names []string, err error) {
	rows, err := m.db.QueryContext(ctx, m.adapt("SELECT team.name FROM team"))
	if err == nil {
		defer rows.Close() //nolint:errcheck // rows.Err below returns every fault of reading
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return nil, m.explain("reading the names of teams", err)
			}
			names = append(names, name)
		}
		err = rows.Err()
	}
	// In 3.0 the table is absent, which MySQL calls denied. In others the role may
	// read it, or the queries of the schema would have failed.
	if t := classOf(err); err != nil && t != schemaMissing && t != grantMissing {
		return nil, m.explain("reading the names of teams", err)
	}
	return names, nil
}

// mysqlReadOnly is MySQL's ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: the session
// stops what the role's grants do not.
const mysqlReadOnly = 1792

// permits reports whether the role may run the statement, and, if rows are wanted,
// that it returns any. What does not exist is not permitted.
func (m *metadata) permits(ctx context.Context, statement string, wantRows bool, args ...any) (bool, error) {
	rows, err := m.db.QueryContext(ctx, m.adapt(statement), args...)
	if err == nil {
		some := rows.Next()
		err = errors.Join(rows.Err(), rows.Close())
		if err == nil {
			return some || !wantRows, nil
		}
	}
	if t := classOf(err); t == schemaMissing || t == grantMissing {
		return false, nil
	}
	if refusal, ok := errors.AsType[*mysql.MySQLError](err); ok && refusal.Number == mysqlReadOnly {
		return true, nil
	}
	return false, m.explain("checking the role's grants", err)
}
