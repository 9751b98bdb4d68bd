package services

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
)

// PostgresServer is a running PostgreSQL with an empty database "airflow",
// whose superuser "airflow" needs no password from loopback.
type PostgresServer struct {
	*Process
	// Addr is its TCP address on loopback, host:port.
	Addr string

	home string
	args []string
	attr *syscall.SysProcAttr
}

// URL names a database of the server, reached as the given user, as Airflow's
// [database] sql_alchemy_conn does.
func (p *PostgresServer) URL(user, database string) string {
	return fmt.Sprintf("postgresql+psycopg2://%s@%s/%s", user, p.Addr, database)
}

// Postgres starts a PostgreSQL server with durability off; settings are
// appended as -c name=value.
func Postgres(tb testing.TB, settings ...string) *PostgresServer {
	tb.Helper()
	initdb := Program(tb, "initdb")
	home, attr := dir(tb, "postgres")
	run(tb, attr, home, initdb, "-D", home+"/data", "-U", "airflow", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	server := startPostgres(tb, home, attr, settings)
	run(tb, attr, home, Program(tb, "createdb"), "-h", home, "-p", portOf(server.Addr), "-U", "airflow", "airflow")
	return server
}

// PostgresFrom starts a PostgreSQL server with a copy of what another had in
// its databases when it was saved.
func PostgresFrom(tb testing.TB, saved string) *PostgresServer {
	tb.Helper()
	home, attr := dir(tb, "postgres")
	run(tb, nil, home, "cp", "-a", saved, home+"/data")
	return startPostgres(tb, home, attr, nil)
}

// Save copies all that the server has to a directory that is not there yet, for
// [PostgresFrom]. It restarts the server, which ends all connections.
func (p *PostgresServer) Save(tb testing.TB, to string) {
	tb.Helper()
	_ = p.signal(syscall.SIGINT) // at SIGTERM alone it waits for its clients
	p.Stop()
	run(tb, nil, p.home, "cp", "-a", p.home+"/data", to)
	p.Start(tb)
}

// startPostgres starts a server on home/data.
func startPostgres(tb testing.TB, home string, attr *syscall.SysProcAttr, settings []string) *PostgresServer {
	tb.Helper()
	address := Address(tb)
	args := []string{"-D", home + "/data", "-p", portOf(address), "-k", home}
	for _, setting := range append([]string{
		"listen_addresses=" + hostOf(address), "fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=64MB",
	}, settings...) {
		args = append(args, "-c", setting)
	}
	server := &PostgresServer{Addr: address, home: home, args: append([]string{Program(tb, "postgres")}, args...), attr: attr}
	server.Start(tb)
	return server
}

// Start starts the server where it has ended, with what it held.
func (p *PostgresServer) Start(tb testing.TB) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), p.args[0], p.args[1:]...)
	cmd.SysProcAttr, cmd.Dir = p.attr, p.home
	p.Process = Start(tb, cmd)
	// It takes connections before it takes sessions.
	ready := Program(tb, "pg_isready")
	p.WaitReady(tb, func(ctx context.Context) error {
		return exec.CommandContext(ctx, ready, "-q", "-h", p.home, "-p", portOf(p.Addr)).Run()
	})
}
