package services

import (
	"fmt"
	"os/exec"
	"strconv"
	"testing"
)

// MariaDBServer is a running MariaDB with an empty database "airflow"; its user
// "root" needs no password.
type MariaDBServer struct {
	*Process
	// Port is its TCP port on loopback.
	Port int
}

// URL names a database of the server as Airflow's [database] sql_alchemy_conn
// does.
func (m *MariaDBServer) URL(user, database string) string {
	return fmt.Sprintf("mysql+mysqldb://%s@%s/%s", user, hostPort(m.Port), database)
}

// MariaDB starts a MariaDB server.
func MariaDB(tb testing.TB) *MariaDBServer {
	tb.Helper()
	install, program, client := Program(tb, "mariadb-install-db"), Program(tb, "mariadbd"), Program(tb, "mariadb")
	home, attr := dir(tb, "mysql")
	data, socket := home+"/data", home+"/s"
	run(tb, attr, home, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")

	port := FreePort(tb)
	cmd := exec.CommandContext(tb.Context(), program, "--no-defaults", "--datadir="+data, "--socket="+socket,
		"--bind-address=127.0.0.1", "--port="+strconv.Itoa(port), "--innodb-flush-log-at-trx-commit=0")
	cmd.SysProcAttr = attr
	server := &MariaDBServer{Process: Start(tb, cmd), Port: port}
	server.WaitReady(tb, Dial("unix", socket))
	run(tb, attr, home, client, "--no-defaults", "--socket="+socket, "-uroot",
		"-e", "CREATE DATABASE airflow CHARACTER SET utf8mb4; GRANT ALL ON *.* TO root@'127.0.0.1' IDENTIFIED BY '' WITH GRANT OPTION")
	return server
}
