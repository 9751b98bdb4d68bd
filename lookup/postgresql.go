package lookup

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
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
	"host": false, "port": false, "ssl": false, // read below
	"sslmode": true, "sslrootcert": true, "sslcert": true, "sslkey": true, "sslpassword": true, "sslsni": true, "sslnegotiation": true,
	"channel_binding": true, "require_auth": true, "connect_timeout": true, "target_session_attrs": true, "application_name": true,
	"options": true, "search_path": true, "passfile": true, "service": true, "krbsrvname": true, "min_protocol_version": true,
	"max_protocol_version": true,

	"keepalives": false, "keepalives_idle": false, "keepalives_interval": false, "keepalives_count": false, "tcp_user_timeout": false,
	"gssencmode": false, "client_encoding": false, "async_fallback": false, "prepared_statement_cache_size": false, "prepare_threshold": false,
	"fallback_application_name": false, "executemany_mode": false,
}

func postgresConnector(u databaseURL, timeout time.Duration, logger *slog.Logger) (driver.Connector, error) {
	if err := u.checkOptions(postgresOptions); err != nil {
		return nil, err
	}
	// The password is set behind the parser's back, whose errors show its input.
	config, err := pgx.ParseConfig(u.postgresDSN())
	if err != nil {
		return nil, fmt.Errorf("reading the URL's options: %w", err)
	}
	if u.password != "" {
		config.Password = u.password
	}
	plain := config.Copy()
	plain.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.RuntimeParams[readOnlyParameter] = "on"
	config.RuntimeParams["statement_timeout"] = strconv.FormatInt(timeout.Milliseconds(), 10)
	return &poolerConnector{Connector: stdlib.GetConnector(*config), plain: stdlib.GetConnector(*plain), logger: logger}, nil
}

// postgresDSN writes the URL, but for the password, as libpq's keywords and
// values.
func (u *databaseURL) postgresDSN() string {
	hosts, ports := []string{u.host}, []string{u.port}
	if u.query.Has("host") {
		hosts, ports = nil, nil
		for _, at := range u.query["host"] { // host=a:5432&host=b:5432, or a socket's directory
			host, port, _ := strings.Cut(at, ":")
			hosts, ports = append(hosts, host), append(ports, port)
		}
	}
	if u.query.Has("port") {
		ports = u.query["port"]
	}
	pairs := map[string]string{
		"host": strings.Join(hosts, ","), "port": strings.Trim(strings.Join(ports, ","), ","),
		"user": u.user, "database": u.databaseName, "application_name": "dagfence", "sslmode": u.option("ssl"),
	}
	for name, passed := range postgresOptions {
		if passed && u.query.Has(name) {
			pairs[name] = u.option(name)
		}
	}
	var dsn strings.Builder
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for name, value := range pairs {
		if value != "" {
			_, _ = fmt.Fprintf(&dsn, "%s='%s' ", name, quote.Replace(value))
		}
	}
	return dsn.String()
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
			c.logger.Warn("the database is behind a pooler that takes no default_transaction_read_only and statement_timeout; going on without them", "error", err)
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
