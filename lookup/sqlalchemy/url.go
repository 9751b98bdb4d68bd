// Package sqlalchemy opens the database that a SQLAlchemy URL names, read-only: it
// reads the URLs of Airflow's sql_alchemy_conn as SQLAlchemy and the Python drivers
// do, and makes connectors for Go's own drivers of them.
package sqlalchemy

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The servers that a URL may name. MariaDB is a [MySQL].
const (
	PostgreSQL = "postgresql"
	MySQL      = "mysql"
	SQLite     = "sqlite"
)

// servers by the names of their dialects; "postgres" is what Airflow once took.
var servers = map[string]string{
	"postgresql": PostgreSQL, "postgres": PostgreSQL, "mysql": MySQL, "mariadb": MySQL, "sqlite": SQLite,
}

// URL is a database URL in its parts. It holds a password: never print it.
type URL struct {
	server         string
	user, password string
	// host and port are lists, separated by commas, where several are named.
	host, port, databaseName string
	query                    url.Values
}

// sqlAlchemyURL is SQLAlchemy's own pattern (sqlalchemy/engine/url.py, 2.0):
// net/url refuses what it takes, such as an unescaped slash in a password.
var sqlAlchemyURL = regexp.MustCompile(`^([\w+]+)://` +
	`(?:([^:/]*)(?::([^@]*))?@)?` +
	`([^/?]*)` +
	`(?:/([^?]*))?` +
	`(?:\?(.*))?$`)

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// Parse parses what Airflow's sql_alchemy_conn may hold. No error shows any part of
// it but the dialect.
func Parse(raw string) (URL, error) {
	m := sqlAlchemyURL.FindStringSubmatch(raw)
	if m == nil {
		return URL{}, errors.New("invalid URL: must be dialect://user:password@host/database, as Airflow's sql_alchemy_conn")
	}
	name, _, _ := strings.Cut(m[1], "+")
	server, known := servers[name]
	if !known {
		return URL{}, fmt.Errorf("invalid dialect %q: must be postgresql, mysql, mariadb or sqlite", name)
	}
	u := URL{server: server, user: unquote(m[2]), password: unquote(m[3]), databaseName: unquote(m[5])}
	if strings.Contains(m[4], "@") {
		// What follows the first @ is taken for the host, and hosts are shown.
		return URL{}, errors.New("unescaped @ in user or password: write it as %40")
	}
	var err error
	if u.host, u.port, err = splitHosts(m[4]); err != nil {
		return URL{}, err
	}
	query, err := url.ParseQuery(m[6])
	if err != nil {
		return URL{}, errors.New("invalid options after ?: must be name=value, joined by & and percent-encoded")
	}
	u.query = query
	return u, nil
}

// Server returns which kind of server it is: [PostgreSQL], [MySQL] or [SQLite].
func (u *URL) Server() string { return u.server }

// Files returns the files that the URL names, or its driver reads, and that may be
// replaced while the database is in use.
func (u *URL) Files() []string {
	switch u.server {
	case PostgreSQL:
		return u.postgresFiles()
	case MySQL:
		return u.mysqlFiles()
	}
	return nil
}

// Connector returns what makes read-only connections whose statements the server
// ends after the timeout. It connects to nothing yet. An error names the option
// that is wrong, and no secret.
func (u *URL) Connector(timeout time.Duration, logger *slog.Logger) (driver.Connector, error) {
	switch u.server {
	case PostgreSQL:
		return u.postgresConnector(timeout, logger)
	case MySQL:
		return u.mysqlConnector(timeout)
	}
	return u.sqliteConnector(timeout)
}

// splitHosts splits host:port, or a list of them. A port behind the last of
// several hosts alone is every host's, as SQLAlchemy takes it.
func splitHosts(text string) (hosts, ports string, err error) {
	var hostList, portList []string
	for part := range strings.SplitSeq(text, ",") {
		host, port := part, ""
		if at := strings.LastIndexByte(part, ':'); at > strings.LastIndexByte(part, ']') {
			host, port = part[:at], part[at+1:]
		}
		if inner, ok := strings.CutPrefix(host, "["); ok {
			host = strings.TrimSuffix(inner, "]")
		} else if strings.Contains(host, ":") {
			return "", "", colonError(part, host)
		}
		if err := checkPort(port); err != nil {
			return "", "", err
		}
		hostList, portList = append(hostList, unquote(host)), append(portList, port)
	}
	ports = strings.Join(portList, ",")
	if before := strings.TrimLeft(ports, ","); !strings.Contains(before, ",") {
		ports = before
	}
	return strings.Join(hostList, ","), ports, nil
}

// colonError is about a host with a colon in it, which is an IPv6 address, with or
// without a port behind it, or a part of a password.
func colonError(whole, host string) error {
	_, errWhole := netip.ParseAddr(whole)
	_, errHost := netip.ParseAddr(host)
	if errWhole == nil || errHost == nil {
		return errors.New("an IPv6 address needs brackets: write [::1] or [::1]:5432")
	}
	return errPort
}

var errPort = errors.New("invalid port: must be a number from 1 to 65535; in a password write / as %2F and : as %3A")

func checkPort(port string) error {
	if number, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || number == 0) {
		return errPort
	}
	return nil
}

// unquote decodes percent escapes as Python does: what is no escape stays.
func unquote(text string) string {
	return escape.ReplaceAllStringFunc(text, func(e string) string {
		decoded, err := url.PathUnescape(e)
		if err != nil {
			return e
		}
		return decoded
	})
}

// option returns the option's last value, "" where it is not set.
func (u *URL) option(name string) string {
	values := u.query[name]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// checkOptions refuses an option that the dialect does not know: one that
// secures the connection must not be dropped in silence.
func (u *URL) checkOptions(known map[string]bool) error {
	for name := range u.query {
		if _, ok := known[name]; !ok {
			return fmt.Errorf("unknown option %q in the URL: remove it, or set a URL without it for dagfence alone", name)
		}
	}
	return nil
}
