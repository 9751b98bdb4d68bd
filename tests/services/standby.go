package services

import "testing"

// Standby starts a server that replicates p.
func (p *PostgresServer) Standby(tb testing.TB) *PostgresServer {
	tb.Helper()
	home, attr := dir(tb, "postgres")
	run(tb, attr, home, Program(tb, "pg_basebackup"),
		"-h", p.home, "-p", portOf(p.Addr), "-U", "airflow", "-D", home+"/data", "-R", "-X", "stream", "-c", "fast", "--no-sync")
	return startPostgres(tb, home, attr, nil)
}

// Promote makes a standby a server that can be written to.
func (p *PostgresServer) Promote(tb testing.TB) {
	tb.Helper()
	run(tb, p.attr, p.home, Program(tb, "pg_ctl"), "promote", "-w", "-D", p.home+"/data")
}
