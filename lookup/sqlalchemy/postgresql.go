package sqlalchemy

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgresOptions are the options of libpq and its Python drivers that a URL
// may have: true is passed on, false has no meaning here.
var postgresOptions = map[string]bool{
	"host": false, "port": false, "ssl": false, "user": false, "password": false, "dbname": false, // read below
	"sslmode": true, "sslrootcert": true, "sslcert": true, "sslkey": true, "sslpassword": true, "sslsni": true, "sslnegotiation": true,
	"sslcertmode": true, "channel_binding": true, "require_auth": true, "connect_timeout": true, "target_session_attrs": true, "application_name": true,
	"options": true, "search_path": true, "passfile": true, "service": true, "krbsrvname": true, "min_protocol_version": true,
	"max_protocol_version": true,

	"keepalives": false, "keepalives_idle": false, "keepalives_interval": false, "keepalives_count": false, "tcp_user_timeout": false,
	"gssencmode": false, "sslcompression": false, "load_balance_hosts": false, "client_encoding": false, "async_fallback": false, "prepared_statement_cache_size": false, "prepare_threshold": false,
	"fallback_application_name": false, "executemany_mode": false,
}

// postgresFiles are the options that name files, with the environment variables
// and the files in the home directory that libpq, and pgx, take in their place.
var postgresFiles = map[string][2]string{
	"sslrootcert": {"PGSSLROOTCERT", ".postgresql/root.crt"}, "sslcert": {"PGSSLCERT", ".postgresql/postgresql.crt"},
	"sslkey": {"PGSSLKEY", ".postgresql/postgresql.key"}, "passfile": {"PGPASSFILE", ".pgpass"},
	"servicefile": {"PGSERVICEFILE", ".pg_service.conf"},
}

func (u *URL) postgresFiles() []string {
	home, _ := os.UserHomeDir() // without one there are no such files
	var files []string
	for option, elsewhere := range postgresFiles {
		files = append(files, cmp.Or(u.option(option), cmp.Or(os.Getenv(elsewhere[0]), filepath.Join(home, elsewhere[1]))))
	}
	slices.Sort(files)
	return files
}

func (u *URL) postgresConnector(timeout time.Duration, logger *slog.Logger) (driver.Connector, error) {
	if err := u.checkOptions(postgresOptions); err != nil {
		return nil, err
	}
	settings, err := u.postgresSettings()
	if err != nil {
		return nil, err
	}
	// The password is set behind the parser's back, whose errors show its input.
	config, err := u.parsePostgres(settings)
	if err != nil {
		return nil, err
	}
	config.Password = cmp.Or(u.option("password"), cmp.Or(u.password, config.Password))
	chooseServer(config, timeout)
	plain := config.Copy()
	plain.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.RuntimeParams[readOnlyParameter] = "on"
	config.RuntimeParams["statement_timeout"] = strconv.FormatInt(timeout.Milliseconds(), 10)
	return &poolerConnector{Connector: stdlib.GetConnector(*config), plain: stdlib.GetConnector(*plain), logger: logger}, nil
}

// chooseServer makes connections go to the servers that target_session_attrs asks
// for. Our sessions are read-only wherever they are, so what tells a server that
// can be written to is that it is no standby.
func chooseServer(config *pgx.ConnConfig, timeout time.Duration) {
	switch reflect.ValueOf(config.ValidateConnect).Pointer() {
	case reflect.ValueOf(pgconn.ValidateConnectTargetSessionAttrsReadWrite).Pointer():
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	case reflect.ValueOf(pgconn.ValidateConnectTargetSessionAttrsReadOnly).Pointer():
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsStandby
	}
	hosts := map[string]bool{net.JoinHostPort(config.Host, fmt.Sprint(config.Port)): true}
	for _, fallback := range config.Fallbacks {
		hosts[net.JoinHostPort(fallback.Host, fmt.Sprint(fallback.Port))] = true
	}
	// A server that is gone must leave time for the others.
	if share := timeout / time.Duration(len(hosts)); len(hosts) > 1 && (config.ConnectTimeout == 0 || config.ConnectTimeout > share) {
		config.ConnectTimeout = share
	}
}

// postgresHosts returns the lists of hosts and ports, separated by commas, as
// SQLAlchemy reads them (dialects/postgresql/base.py, _split_multihost_from_url):
// options win over what stands before the path. A socket's directory may have
// colons in it.
func (u *URL) postgresHosts() (hosts, ports string, err error) {
	hosts, ports = u.host, u.port
	if named := u.query["host"]; len(named) > 0 {
		var hostList, portList []string
		given := false
		for part := range strings.SplitSeq(strings.Join(named, ","), ",") {
			host, port := part, ""
			if !strings.HasPrefix(part, "/") && strings.Count(part, ":") < 2 { // neither a directory nor an IPv6 address
				if host, port, err = splitHosts(part); err != nil {
					return "", "", fmt.Errorf("option host: %w", err)
				}
			}
			given = given || port != ""
			hostList, portList = append(hostList, host), append(portList, port)
		}
		hosts = strings.Join(hostList, ",")
		if given {
			ports = strings.Join(portList, ",")
		}
	}
	if named := u.query["port"]; len(named) > 0 {
		ports = strings.Join(named, ",")
		for port := range strings.SplitSeq(ports, ",") {
			if checkPort(port) != nil {
				return "", "", errors.New("invalid option port: must be a number from 1 to 65535, or one for each host, separated by commas")
			}
		}
	}
	return hosts, ports, nil
}

// postgresSettings are the URL's, but for the password, by libpq's keywords.
func (u *URL) postgresSettings() (map[string]string, error) {
	hosts, ports, err := u.postgresHosts()
	if err != nil {
		return nil, err
	}
	pairs := map[string]string{
		"host": hosts, "port": ports, "user": cmp.Or(u.option("user"), u.user), "database": cmp.Or(u.option("dbname"), u.databaseName),
		"application_name": "dagfence", "sslmode": u.option("ssl"),
	}
	for name, passed := range postgresOptions {
		if passed && u.query.Has(name) {
			pairs[name] = u.option(name)
		}
	}
	maps.DeleteFunc(pairs, func(_, value string) bool { return value == "" })
	return pairs, nil
}

// keywords writes settings as libpq reads them.
func keywords(settings map[string]string) string {
	var text strings.Builder
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for name, value := range settings {
		_, _ = fmt.Fprintf(&text, "%s='%s' ", name, quote.Replace(value))
	}
	return text.String()
}

// readOnlyParameter is also what a server (14 and later) reports of a session.
const readOnlyParameter = "default_transaction_read_only"

// poolerConnector asks for a read-only session with a statement time-out as
// the connection starts, and prepares its statements: planning takes most of a
// query's time. A pooler such as PgBouncer refuses what is asked for, or drops
// it (ignore_startup_parameters); set later, or prepared, it would be set for
// whoever is pooled next. So behind a pooler nothing is left at the server, and
// our own deadline and the role's grants remain.
type poolerConnector struct {
	driver.Connector

	plain  driver.Connector
	pooled atomic.Bool
	logger *slog.Logger
}

func (c *poolerConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if !c.pooled.Load() {
		conn, err := c.Connector.Connect(ctx)
		if !isPooler(conn, err) {
			return conn, err
		}
		if conn != nil {
			_ = conn.Close() // another one takes its place
		}
		if !c.pooled.Swap(true) {
			c.logger.Warn("database pooler rejected read-only session settings; continuing without them", "error", err)
		}
	}
	return c.plain.Connect(ctx)
}

func isPooler(conn driver.Conn, err error) bool {
	if err != nil {
		var refusal *pgconn.PgError
		return errors.As(err, &refusal) && strings.Contains(refusal.Message, "startup parameter")
	}
	session, ok := conn.(*stdlib.Conn)
	return ok && session.Conn().PgConn().ParameterStatus(readOnlyParameter) == "off"
}
