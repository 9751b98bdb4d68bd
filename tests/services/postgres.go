package services

import (
	"fmt"
	"os/exec"
	"strconv"
	"testing"
)

// PostgresServer is a running PostgreSQL with an empty database "airflow",
// whose superuser "airflow" needs no password from loopback.
type PostgresServer struct {
	*Process
	// Port is its TCP port on loopback.
	Port int
}

// URL names a database of the server, reached as the given user, as Airflow's
// [database] sql_alchemy_conn does.
func (p *PostgresServer) URL(user, database string) string {
	return fmt.Sprintf("postgresql+psycopg2://%s@%s/%s", user, hostPort(p.Port), database)
}

// Postgres starts a PostgreSQL server with durability off; settings are
// appended as -c name=value.
func Postgres(tb testing.TB, settings ...string) *PostgresServer {
	tb.Helper()
	initdb, postgres, createdb := Program(tb, "initdb"), Program(tb, "postgres"), Program(tb, "createdb")
	home, attr := dir(tb, "postgres")
	data := home + "/data"
	run(tb, attr, home, initdb, "-D", data, "-U", "airflow", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")

	port := FreePort(tb)
	args := []string{"-D", data, "-p", strconv.Itoa(port), "-k", home}
	for _, setting := range append([]string{
		"listen_addresses=127.0.0.1", "fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB",
	}, settings...) {
		args = append(args, "-c", setting)
	}
	cmd := exec.CommandContext(tb.Context(), postgres, args...)
	cmd.SysProcAttr, cmd.Dir = attr, home
	server := &PostgresServer{Process: Start(tb, cmd), Port: port}
	server.WaitReady(tb, Dial("unix", fmt.Sprintf("%s/.s.PGSQL.%d", home, port)))
	run(tb, attr, home, createdb, "-h", home, "-p", strconv.Itoa(port), "-U", "airflow", "airflow")
	return server
}
