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

// trouble is what kind of trouble an error from a database is.
type trouble uint8

const (
	// troubleOther is a fault: unreachable, gone, full.
	troubleOther trouble = iota
	// troubleAbsent: a table or column does not exist.
	troubleAbsent
	// troubleDenied: the role lacks a grant. MariaDB says so of what does not
	// exist as well, to a role that has grants on columns.
	troubleDenied
	// troubleLogin: user, password or database are refused.
	troubleLogin
	// troubleSlow: our deadline or the server's ended it.
	troubleSlow
)

// troubles by PostgreSQL's SQLSTATE (appendix A of its manual) and by MySQL's
// and MariaDB's error numbers.
var (
	postgresTroubles = map[string]trouble{
		"42P01": troubleAbsent, "42703": troubleAbsent, "42501": troubleDenied, "28000": troubleLogin, "28P01": troubleLogin,
		"3D000": troubleLogin, "57014": troubleSlow,
	}
	mysqlTroubles = map[uint16]trouble{
		1054: troubleAbsent, 1146: troubleAbsent, 1142: troubleDenied, 1143: troubleDenied, 1044: troubleLogin, 1045: troubleLogin,
		1049: troubleLogin, 1698: troubleLogin, 1969: troubleSlow, 3024: troubleSlow,
	}
)

func troubleOf(err error) trouble {
	var (
		postgres *pgconn.PgError
		my       *mysql.MySQLError
		lite     *driversqlite.Error
	)
	switch {
	case errors.As(err, &postgres):
		return postgresTroubles[postgres.Code]
	case errors.As(err, &my):
		return mysqlTroubles[my.Number]
	case errors.As(err, &lite) && (strings.Contains(lite.Error(), "no such table") || strings.Contains(lite.Error(), "no such column")):
		return troubleAbsent
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return troubleSlow
	}
	return troubleOther
}

// explain wraps an error of the database with what was asked, and the mend.
// The drivers' errors show hosts, users, tables and columns, never a password.
func (m *metadata) explain(doing string, err error) error {
	mend := ""
	switch troubleOf(err) {
	case troubleAbsent:
		mend = "; that part of the schema is missing, and the schemas of Airflow " + knownReleases() + " are known: " + m.schemaMend()
	case troubleDenied:
		mend = "; " + m.grantsMend()
	case troubleLogin:
		mend = "; check the user, password and database name in database"
	case troubleSlow:
		mend = fmt.Sprintf("; no answer within %v", m.timeout)
	case troubleOther:
	}
	return fmt.Errorf("%w: %s: %w%s", resolver.ErrUnavailable, doing, err, mend)
}

// schemaMend is the fix for a schema that can't be read as any that is known.
func (m *metadata) schemaMend() string {
	grants := ""
	if m.dialect.name != sqlalchemy.SQLite {
		grants = m.grantsMend() + ", "
	}
	return "wait until `airflow db migrate` has ended, " + grants + "or upgrade dagfence where Airflow is newer"
}

// grantsMend is the fix for a missing grant. SQLite has none, and denies none.
func (m *metadata) grantsMend() string {
	return "grant what deploy/grants/" + m.dialect.name + ".sql grants, which has to be run again after each upgrade of Airflow"
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
