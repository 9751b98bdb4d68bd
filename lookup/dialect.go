package lookup

import (
	"strings"

	"github.com/dagfence/dagfence/lookup/sqlalchemy"
)

// dialect is how a kind of database server is queried.
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
	// snapshots: the watch asks for a [snapshot], and then for rows written since.
	snapshots bool
	// denialMeansExists: a refusal to read a table or column means that it exists.
	denialMeansExists bool
	// folds: a collation may take another spelling of a name for the name of a row.
	folds bool
	// quote surrounds a quoted identifier.
	quote string
}

// quoted quotes an identifier.
func (d dialect) quoted(name string) string {
	return d.quote + strings.ReplaceAll(name, d.quote, d.quote+d.quote) + d.quote
}

// dialects by the servers of a [sqlalchemy.URL].
var dialects = map[string]dialect{
	sqlalchemy.PostgreSQL: {
		name: "postgresql", numbered: true, nativeUUID: true, nilUUID: "'00000000-0000-0000-0000-000000000000'",
		snapshots: true, denialMeansExists: true, quote: `"`,
	},
	sqlalchemy.MySQL:  {name: "mysql", folds: true, nilUUID: "UNHEX('00000000000000000000000000000000')", quote: "`"},
	sqlalchemy.SQLite: {name: "sqlite", nilUUID: "'00000000000000000000000000000000'", quote: `"`},
}
