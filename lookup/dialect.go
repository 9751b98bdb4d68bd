package lookup

import (
	"database/sql/driver"
	"log/slog"
	"strings"
	"time"
)

// dialect is a kind of database server.
type dialect struct {
	// name is also the name of its grants script.
	name string
	// numbered: parameters are $1 rather than ?.
	numbered bool
	// nativeUUID: ids are compared as UUIDs, however they are written.
	nativeUUID bool
	// nilUUID is how a UUID of zeros is written for a column of the type that
	// Airflow calls CompactUUID (utils/sqlalchemy.py, 3.4).
	nilUUID string
	// stamped: the watch asks for a [stamp], and then for rows written since.
	stamped bool
	// deniesWhatIs: a refusal to read a table or column means that it exists.
	deniesWhatIs bool
	// connector makes read-only connections whose statements the server ends
	// after the timeout. It connects to nothing yet.
	connector func(u databaseURL, timeout time.Duration, logger *slog.Logger) (driver.Connector, error)
	// files are those that the URL names, and that may be rotated. Nil for none.
	files func(u *databaseURL) []string
	// quote is what stands around a quoted identifier.
	quote string
}

// quoted quotes an identifier.
func (d dialect) quoted(name string) string {
	return d.quote + strings.ReplaceAll(name, d.quote, d.quote+d.quote) + d.quote
}

var (
	postgresql = dialect{
		name: "postgresql", numbered: true, nativeUUID: true, nilUUID: "'00000000-0000-0000-0000-000000000000'", stamped: true, deniesWhatIs: true,
		connector: postgresConnector, files: (*databaseURL).postgresFiles, quote: `"`,
	}
	mySQL = dialect{
		name: "mysql", nilUUID: "UNHEX('00000000000000000000000000000000')",
		connector: mysqlConnector, files: (*databaseURL).mysqlFiles, quote: "`",
	}
	sqlite = dialect{name: "sqlite", nilUUID: "'00000000000000000000000000000000'", connector: sqliteConnector, quote: `"`}

	// dialects by their names in a SQLAlchemy URL; "postgres" is what Airflow
	// once took.
	dialects = map[string]dialect{
		"postgresql": postgresql, "postgres": postgresql, "mysql": mySQL, "mariadb": mySQL, "sqlite": sqlite,
	}
)
