package sqlalchemy

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dagfence/dagfence/rotate"
)

// mysqlOptions are the options of mysqlclient, PyMySQL and MySQL Connector
// that a URL may have: true is read here, false has no meaning here.
var mysqlOptions = map[string]bool{
	"unix_socket": true, "ssl_mode": true, "ssl_ca": true, "ssl_cert": true, "ssl_key": true, "ssl_disabled": true,

	"ssl_verify_cert": false, "ssl_verify_identity": false, "ssl_check_hostname": false, "ssl": false,
	"charset": false, "collation": false, "use_unicode": false, "connect_timeout": false, "read_timeout": false, "write_timeout": false,
	"binary_prefix": false, "local_infile": false, "autocommit": false, "init_command": false, "program_name": false, "conv": false,
}

func (u *URL) mysqlFiles() []string {
	return []string{u.option("ssl_ca"), u.option("ssl_cert"), u.option("ssl_key")}
}

func (u *URL) mysqlConnector(timeout time.Duration) (driver.Connector, error) {
	if err := u.checkOptions(mysqlOptions); err != nil {
		return nil, err
	}
	if strings.Contains(u.host, ",") {
		return nil, errors.New("several hosts in the URL: MySQL takes one")
	}
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = u.user, u.password, u.databaseName
	config.Logger = new(mysql.NopLogger) // errors come back by themselves
	config.Net, config.Addr = "tcp", net.JoinHostPort(cmp.Or(u.host, "127.0.0.1"), cmp.Or(u.port, "3306"))
	if socket := u.option("unix_socket"); socket != "" {
		config.Net, config.Addr = "unix", socket
	}
	if err := u.mysqlTLS(config); err != nil {
		return nil, err
	}
	plain, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("reading the URL: %w", err)
	}
	return &mysqlSession{Connector: plain, settings: []string{
		"SET SESSION TRANSACTION READ ONLY",
		// MySQL runs the first comment and MariaDB the second.
		fmt.Sprintf("SET /*!50708 SESSION max_execution_time=%d */ /*M!100101 SESSION max_statement_time=%f */", timeout.Milliseconds(), timeout.Seconds()),
	}}, nil
}

// mysqlTLS secures the connection as mysqlclient would, or better: by default
// if the server can, and with a CA always, the server's name verified.
func (u *URL) mysqlTLS(config *mysql.Config) error {
	mode := strings.ToUpper(u.option("ssl_mode"))
	ca, cert, key := u.option("ssl_ca"), u.option("ssl_cert"), u.option("ssl_key")
	switch {
	case mode == "DISABLED", strings.EqualFold(u.option("ssl_disabled"), "true"):
		config.TLSConfig = "false"
		return nil
	case ca == "" && cert == "" && (mode == "" || mode == "PREFERRED"):
		config.TLSConfig = "preferred"
		return nil
	case ca == "" && cert == "" && mode == "REQUIRED":
		config.TLSConfig = "skip-verify"
		return nil
	case mode != "" && mode != "PREFERRED" && mode != "REQUIRED" && mode != "VERIFY_CA" && mode != "VERIFY_IDENTITY":
		return errors.New("invalid option ssl_mode: must be DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY")
	}
	config.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.host}
	if ca != "" {
		var err error
		if config.TLS.RootCAs, err = rotate.CertPool(ca); err != nil {
			return fmt.Errorf("option ssl_ca: %w: must be the path of a PEM file", err)
		}
	}
	if cert != "" {
		pair, err := rotate.KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("options ssl_cert and ssl_key: %w: must be the paths of a certificate and its key in PEM", err)
		}
		config.TLS.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// mysqlSession runs its settings on every new connection.
type mysqlSession struct {
	driver.Connector

	settings []string
}

func (s *mysqlSession) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	for _, setting := range s.settings {
		execer, ok := conn.(driver.ExecerContext)
		if !ok {
			err = driver.ErrSkip
		} else {
			_, err = execer.ExecContext(ctx, setting, nil)
		}
		if err != nil {
			_ = conn.Close() // what matters is that the session is not as it must be
			return nil, fmt.Errorf("making the session read-only: %w", err)
		}
	}
	return conn, nil
}
