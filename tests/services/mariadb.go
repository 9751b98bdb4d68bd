package services

import (
	"fmt"
	"os/exec"
	"testing"
)

// MariaDBServer is a running MariaDB with an empty database "airflow"; its user
// "root" needs no password.
type MariaDBServer struct {
	*Process
	// Addr is its TCP address on loopback, host:port.
	Addr string
}

// URL names a database of the server as Airflow's [database] sql_alchemy_conn
// does.
func (m *MariaDBServer) URL(user, database string) string {
	return fmt.Sprintf("mysql+mysqldb://%s@%s/%s", user, m.Addr, database)
}

// MariaDB starts a MariaDB server.
func MariaDB(tb testing.TB) *MariaDBServer {
	tb.Helper()
	install, program, client := Program(tb, "mariadb-install-db"), Program(tb, "mariadbd"), Program(tb, "mariadb")
	home, attr := dir(tb, "mysql")
	data, socket := home+"/data", home+"/s"
	run(tb, attr, home, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")

	address := Address(tb)
	cmd := exec.CommandContext(tb.Context(), program, "--no-defaults", "--datadir="+data, "--socket="+socket,
		"--bind-address="+hostOf(address), "--port="+portOf(address), "--innodb-flush-log-at-trx-commit=0")
	cmd.SysProcAttr = attr
	server := &MariaDBServer{Process: Start(tb, cmd), Addr: address}
	server.WaitReady(tb, Dial("unix", socket))
	run(tb, attr, home, client, "--no-defaults", "--socket="+socket, "-uroot",
		"-e", "CREATE DATABASE airflow CHARACTER SET utf8mb4; GRANT ALL ON *.* TO root@'127.0.0.1' IDENTIFIED BY '' WITH GRANT OPTION")
	return server
}
