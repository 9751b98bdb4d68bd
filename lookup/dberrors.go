package lookup

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	driversqlite "modernc.org/sqlite"

	"github.com/dagfence/dagfence/lookup/sqlalchemy"
	"github.com/dagfence/dagfence/resolver"
)

// errorClass is the class of an error from a database.
type errorClass uint8

const (
	// otherError is a fault: unreachable, gone, full.
	otherError errorClass = iota
	// schemaMissing: a table or column does not exist.
	schemaMissing
	// grantMissing: the role is missing a grant. MariaDB reports it for what does not
	// exist as well, to a role that has grants on columns.
	grantMissing
	// loginRefused: user, password or database are refused.
	loginRefused
	// timedOut: our deadline or the server's ended it.
	timedOut
)

// The classes by PostgreSQL's SQLSTATE (appendix A of its manual) and by MySQL's
// and MariaDB's error numbers.
var (
	postgresClasses = map[string]errorClass{
		"42P01": schemaMissing, "42703": schemaMissing, "42501": grantMissing, "28000": loginRefused, "28P01": loginRefused,
		"3D000": loginRefused, "57014": timedOut,
	}
	mysqlClasses = map[uint16]errorClass{
		1054: schemaMissing, 1146: schemaMissing, 1142: grantMissing, 1143: grantMissing, 1044: loginRefused, 1045: loginRefused,
		1049: loginRefused, 1698: loginRefused, 1969: timedOut, 3024: timedOut,
	}
)

func classOf(err error) errorClass {
	var (
		postgres *pgconn.PgError
		my       *mysql.MySQLError
		lite     *driversqlite.Error
	)
	switch {
	case errors.As(err, &postgres):
		return postgresClasses[postgres.Code]
	case errors.As(err, &my):
		return mysqlClasses[my.Number]
	case errors.As(err, &lite) && (strings.Contains(lite.Error(), "no such table") || strings.Contains(lite.Error(), "no such column")):
		return schemaMissing
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return timedOut
	}
	return otherError
}

// DatabaseError is an error of the database, or of the connection to it, that names no fix.
type DatabaseError struct{ Err error }

// Error implements error.
func (e *DatabaseError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *DatabaseError) Unwrap() error { return e.Err }

// explain wraps an error of the database with what was asked, and the fix.
// The drivers' errors show hosts, users, tables and columns, never a password.
func (m *metadata) explain(doing string, err error) error {
	hint := ""
	switch classOf(err) {
	case schemaMissing:
		hint = ": schema incomplete (known: Airflow " + knownReleases() + "): " + m.schemaHint()
	case grantMissing:
		hint = ": " + m.grantsHint()
	case loginRefused:
		hint = ": check the user, password and database name in database"
	case timedOut:
		hint = fmt.Sprintf(": no answer within %v: check the network and the server's load", m.timeout)
	case otherError:
		err = &DatabaseError{err}
	}
	return fmt.Errorf("%w: %s: %w%s", resolver.ErrUnavailable, doing, err, hint)
}

// schemaHint is the fix for a schema that can't be read as any that is known.
func (m *metadata) schemaHint() string {
	grants := ""
	if m.dialect.name != sqlalchemy.SQLite {
		grants = m.grantsHint() + ", "
	}
	return "wait until `airflow db migrate` has ended, " + grants + "or upgrade dagfence where Airflow is newer"
}

// grantsHint is the fix for a missing grant. SQLite has none, and denies none.
func (m *metadata) grantsHint() string {
	return "run deploy/grants/" + m.dialect.name + ".sql, again after each upgrade of Airflow"
}

// illegalMix is MySQL's ER_CANT_AGGREGATE_2COLLATIONS.
const illegalMix = 1267

// isBeyondCollation reports whether a name has characters that the column it is
// compared with can't hold, so that no row has the name. Assets are in Latin-1 on
// MySQL, and Airflow gets the same error.
func isBeyondCollation(err error) bool {
	refusal, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && refusal.Number == illegalMix
}
