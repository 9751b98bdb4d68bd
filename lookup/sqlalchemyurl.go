package lookup

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// databaseURL is a database URL taken apart. It holds a password: never print
// it.
type databaseURL struct {
	dialect                  dialect
	user, password           string
	host, port, databaseName string
	query                    url.Values
}

// sqlAlchemyURL is SQLAlchemy's own pattern (sqlalchemy/engine/url.py, 2.0):
// net/url refuses what it takes, such as an unescaped slash in a password.
var sqlAlchemyURL = regexp.MustCompile(`^([\w+]+)://` +
	`(?:([^:/]*)(?::([^@]*))?@)?` +
	`(?:(?:\[([^/?]+)\]|([^/:?]+))?(?::([^/?]*))?)?` +
	`(?:/([^?]*))?` +
	`(?:\?(.*))?$`)

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// parseDatabaseURL takes apart what Airflow's sql_alchemy_conn may hold. No
// error shows any part of it but the dialect.
func parseDatabaseURL(raw string) (databaseURL, error) {
	m := sqlAlchemyURL.FindStringSubmatch(raw)
	if m == nil {
		return databaseURL{}, errors.New("it is not a URL; write dialect://user:password@host/database, as Airflow's sql_alchemy_conn")
	}
	name, _, _ := strings.Cut(m[1], "+")
	d, known := dialects[name]
	if !known {
		return databaseURL{}, fmt.Errorf("dialect %q is unknown; use postgresql, mysql, mariadb or sqlite", name)
	}
	u := databaseURL{
		dialect: d, user: unquote(m[2]), password: unquote(m[3]), host: m[4] + m[5], port: m[6], databaseName: unquote(m[7]),
	}
	if strings.Contains(u.host, "@") {
		// What follows the first @ is taken for the host, and hosts are shown.
		return databaseURL{}, errors.New("the user or password has an @ in it; write it as %40")
	}
	if _, err := strconv.ParseUint(u.port, 10, 16); u.port != "" && err != nil {
		return databaseURL{}, errors.New("the port is not a number; write host:port, and in a password / as %2F and : as %3A")
	}
	query, err := url.ParseQuery(m[8])
	if err != nil {
		return databaseURL{}, errors.New("the options after ? can't be read; write name=value&name=value, percent-encoded")
	}
	u.query = query
	return u, nil
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

// option gives the option's last value, "" where it is not set.
func (u *databaseURL) option(name string) string {
	values := u.query[name]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// checkOptions refuses an option that the dialect does not know: one that
// secures the connection must not be dropped in silence.
func (u *databaseURL) checkOptions(known map[string]bool) error {
	for name := range u.query {
		if _, ok := known[name]; !ok {
			return fmt.Errorf("option %q in the URL is unknown here; remove it, or give dagfence a URL of its own", name)
		}
	}
	return nil
}
