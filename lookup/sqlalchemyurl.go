package lookup

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// databaseURL is a database URL taken apart. It holds a password: never print
// it.
type databaseURL struct {
	dialect        dialect
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
	u := databaseURL{dialect: d, user: unquote(m[2]), password: unquote(m[3]), databaseName: unquote(m[5])}
	if strings.Contains(m[4], "@") {
		// What follows the first @ is taken for the host, and hosts are shown.
		return databaseURL{}, errors.New("the user or password has an @ in it; write it as %40")
	}
	var err error
	if u.host, u.port, err = splitHosts(m[4]); err != nil {
		return databaseURL{}, err
	}
	query, err := url.ParseQuery(m[6])
	if err != nil {
		return databaseURL{}, errors.New("the options after ? can't be read; write name=value&name=value, percent-encoded")
	}
	u.query = query
	return u, nil
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
		return errors.New("an IPv6 address needs brackets; write it as [::1], or [::1]:5432")
	}
	return errPort
}

var errPort = errors.New("the port is not a number; write host:port, and in a password / as %2F and : as %3A")

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
