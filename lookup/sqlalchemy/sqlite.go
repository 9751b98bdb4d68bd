package sqlalchemy

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	driversqlite "modernc.org/sqlite"
)

// sqliteOptions are the options of Python's sqlite3 that a URL may have; none
// has a meaning here.
var sqliteOptions = map[string]bool{
	"timeout": false, "check_same_thread": false, "isolation_level": false, "detect_types": false, "cached_statements": false,
}

// sqliteConnector opens the file read-only: one that is missing is not created.
func (u *URL) sqliteConnector(timeout time.Duration) (driver.Connector, error) {
	if err := u.checkOptions(sqliteOptions); err != nil {
		return nil, err
	}
	switch {
	case u.host != "":
		return nil, errors.New("unexpected host in a SQLite URL: must be sqlite:/// and the path, so four slashes before an absolute one")
	case u.databaseName == "", strings.HasPrefix(u.databaseName, ":memory:"), strings.HasPrefix(u.databaseName, "file:"):
		return nil, errors.New("no file in the SQLite URL: must be sqlite:/// and the path of Airflow's database")
	}
	path, err := filepath.Abs(u.databaseName)
	if err != nil {
		return nil, fmt.Errorf("finding the file: %w", err)
	}
	file := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		"mode": {"ro"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", timeout.Milliseconds()), "query_only(1)"},
	}.Encode()}
	connector, err := driversqlite.NewConnector(file.String())
	if err != nil {
		return nil, fmt.Errorf("reading the URL: %w", err)
	}
	return connector, nil
}
