package faults_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dagfence/dagfence/tests/sidecar"
)

// databaseFaults break the database behind a wire, and return what repairs it.
var databaseFaults = map[string]func(t *testing.T, db *database, w wire) (repair func()){
	"it is stopped at once": func(t *testing.T, db *database, _ wire) func() {
		t.Helper()
		// What pg_ctl stop -m immediate sends.
		if err := syscall.Kill(db.Pid(), syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		db.Stop()
		return func() { db.Start(db.owner) }
	},
	"it is frozen": func(t *testing.T, db *database, _ wire) func() {
		t.Helper()
		stopped := db.processes(t)
		tell := func(sent syscall.Signal) func() {
			return func() {
				for _, pid := range stopped {
					_ = syscall.Kill(pid, sent) // it may have ended
				}
			}
		}
		tell(syscall.SIGSTOP)()
		t.Cleanup(tell(syscall.SIGCONT))
		return tell(syscall.SIGCONT)
	},
	"it has no connection left": func(t *testing.T, db *database, _ wire) func() {
		t.Helper()
		first := db.connect(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dagfence'")
		taken := []*pgx.Conn{first}
		for {
			session, err := db.dial(t.Context())
			if err != nil && strings.Contains(err.Error(), "SQLSTATE 53300") {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			taken = append(taken, session)
		}
		return func() {
			for _, session := range taken {
				_ = session.Close(t.Context())
			}
		}
	},
	"its tables are locked": func(t *testing.T, db *database, _ wire) func() {
		t.Helper()
		session := db.connect(t, "BEGIN; LOCK TABLE variable, connection, task_instance, dag IN ACCESS EXCLUSIVE MODE")
		return func() { _ = session.Close(t.Context()) }
	},
	"its answers take 3 s": func(t *testing.T, _ *database, w wire) func() {
		t.Helper()
		w.poison(t, "latency", map[string]int{"latency": 3000})
		return func() { w.cure(t) }
	},
	"what it is sent is swallowed": func(t *testing.T, _ *database, w wire) func() {
		t.Helper()
		w.poison(t, "timeout", map[string]int{"timeout": 0})
		return func() { w.cure(t) }
	},
	"its connections are reset": func(t *testing.T, _ *database, w wire) func() {
		t.Helper()
		w.poison(t, "reset_peer", map[string]int{"timeout": 0})
		return func() { w.cure(t) }
	},
	"its answers break off": func(t *testing.T, _ *database, w wire) func() {
		t.Helper()
		w.poison(t, "limit_data", map[string]int{"bytes": 20})
		return func() { w.cure(t) }
	},
	"nobody listens": func(t *testing.T, _ *database, w wire) func() {
		t.Helper()
		w.cut()
		return func() { w.repair(t) }
	},
}

func TestDatabaseFaults_DelayOnlyUncachedOwners(t *testing.T) {
	t.Parallel()
	db := newDatabase(t, "max_connections=20", "superuser_reserved_connections=0")
	for name, hurt := range databaseFaults {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, db.Addr)
			f := start(t, "--database", db.through(w))
			var repair func()
			f.outlives(t, func() { repair = hurt(t, db, w) }, func() { repair() })
		})
	}
}

func TestSlowDatabase_IsWaitedFor(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	w := newWire(t, db.Addr)
	w.poison(t, "latency", map[string]int{"latency": 200})
	f := start(t, "--database", db.through(w))
	sidecar.Within(t, 10*time.Second, "ready", func() bool { return f.probe(t.Context(), "/ready") == http.StatusOK })
	f.rounds(t, 2, unharmed)
}

// processes returns the process ids of the server: its first and all its children.
func (db *database) processes(t *testing.T) []int {
	t.Helper()
	first := strconv.Itoa(db.Pid())
	pids := []int{db.Pid()}
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		stat, _ := os.ReadFile(path) // "pid (name) state parent ..."; it may have ended
		_, behind, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(behind); len(fields) > 1 && fields[1] == first {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			pids = append(pids, pid)
		}
	}
	if len(pids) < 2 {
		t.Fatal("the server has no children")
	}
	return pids
}
