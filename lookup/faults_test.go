package lookup_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/tests/services"
)

const password = "hunter2-secret"

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// wantUnavailable fails unless the answer is Unavailable, says so with its
// sentinel, and shows no secret.
func wantUnavailable(tb testing.TB, got resolver.Answer, says string) {
	tb.Helper()
	if got.Outcome != resolver.Unavailable || !errors.Is(got.Err, resolver.ErrUnavailable) || !got.AsOf.IsZero() {
		tb.Fatalf("got %v (%v), want unavailable", got.Outcome, got.Err)
	}
	if text := got.Err.Error(); strings.Contains(text, password) || !strings.Contains(text, says) {
		tb.Errorf("the error is %q, want it to say %q and no password", text, says)
	}
}

func TestDatabase_UnreachableIsUnavailable(t *testing.T) {
	t.Parallel()
	frozen := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	for name, url := range map[string]string{
		"postgresql, frozen":  fmt.Sprintf("postgresql+psycopg2://airflow:%s@%s/airflow", password, frozen),
		"mysql, frozen":       fmt.Sprintf("mysql+mysqldb://airflow:%s@%s/airflow", password, frozen),
		"postgresql, refused": fmt.Sprintf("postgresql://airflow:%s@%s/airflow", password, services.Address(t)),
		"mysql, refused":      fmt.Sprintf("mysql://airflow:%s@%s/airflow", password, services.Address(t)),
		"sqlite, no file":     "sqlite:///" + filepath.Join(t.TempDir(), "none.db"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const timeout = 200 * time.Millisecond
			d := directoryOf(t, lookup.Options{Database: url, Timeout: timeout})
			if err := d.Ready(t.Context()); err == nil || strings.Contains(err.Error(), password) {
				t.Errorf("ready: %v", err)
			}
			start := time.Now()
			answers := d.Resolve(t.Context(), []resolver.Question{ask(resolver.KindTask, taskA), ask(resolver.KindVariable, "var_a"), ask(resolver.KindAsset, "a")})
			if took := time.Since(start); took > 5*timeout {
				t.Errorf("took %v, with a timeout of %v", took, timeout)
			}
			wantUnavailable(t, answers[0], "metadata database")
			wantUnavailable(t, answers[1], "metadata database")
			if answers[2].Outcome != resolver.NotFound {
				t.Errorf("an asset, which no database knows: %v", answers[2].Outcome)
			}
			if path, isFile := strings.CutPrefix(url, "sqlite:///"); isFile {
				if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the file was made: %v", err)
				}
			}
		})
	}
}

func TestResolve_ReturnsWhenItsCallerGivesUp(t *testing.T) {
	t.Parallel()
	_, url := sqliteFiles().airflow(t, "3.2")
	d := directoryOf(t, lookup.Options{Database: url})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantUnavailable(t, oneWithin(ctx, t, d, resolver.KindVariable, "var_a"), "canceled")
	if got := one(t, d, resolver.KindVariable, "var_a"); got.Outcome != resolver.Found {
		t.Errorf("the next caller: %v (%v)", got.Outcome, got.Err)
	}
}

// testLockedTable: a migration holds one table; what does not need it is
// answered.
func testLockedTable(t *testing.T, s server) {
	t.Helper()
	t.Parallel()
	db, url := s.airflow(t, "3.2")
	d := directoryOf(t, lookup.Options{Database: url, Timeout: 500 * time.Millisecond})
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "LOCK TABLE variable IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	answers := d.Resolve(t.Context(), []resolver.Question{ask(resolver.KindVariable, "var_a"), ask(resolver.KindTask, taskA)})
	wantUnavailable(t, answers[0], "no answer within 500ms")
	if answers[1].Outcome != resolver.Found {
		t.Errorf("the task: %v (%v)", answers[1].Outcome, answers[1].Err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := one(t, d, resolver.KindVariable, "var_a"); got.Team != "team_a" {
		t.Errorf("afterwards: %v (%v)", got.Outcome, got.Err)
	}
}

// testComesUpLater: the database is reached only after the directory started.
func testComesUpLater(t *testing.T, s server) {
	t.Helper()
	t.Parallel()
	_, url := s.airflow(t, "3.1")
	backend, address := addressOf(t, url), services.Address(t)
	d := directoryOf(t, lookup.Options{Database: strings.Replace(url, backend, address, 1)})
	wantUnavailable(t, one(t, d, resolver.KindVariable, "var_a"), "metadata database")
	listenAt(t, address, func(conn net.Conn) { pipe(t, conn, backend, nil) })
	if err := d.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if got := one(t, d, resolver.KindVariable, "var_a"); got.Team != "team_a" {
		t.Errorf("%v, team %q, %v", got.Outcome, got.Team, got.Err)
	}
}

// testPooler: PgBouncer refuses startup parameters that it does not know, or
// drops those that it is told to ignore.
func testPooler(t *testing.T, s server) {
	t.Helper()
	for name, drops := range map[string]bool{"refuses": false, "drops": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testPoolerThat(t, s, drops)
		})
	}
}

func testPoolerThat(t *testing.T, s server, drops bool) {
	t.Helper()
	_, url := s.airflow(t, "3.2")
	backend := addressOf(t, url)
	pooler := listen(t, func(conn net.Conn) {
		head := make([]byte, 4)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		startup := make([]byte, binary.BigEndian.Uint32(head)-4)
		if _, err := io.ReadFull(conn, startup); err != nil {
			return
		}
		if drops {
			startup = bytes.Replace(startup, []byte("default_transaction_read_only\x00on"), []byte("default_transaction_read_only\x00no"), 1)
		} else if strings.Contains(string(startup), "statement_timeout") {
			fields := "SFATAL\x00VFATAL\x00C08P01\x00Munsupported startup parameter: statement_timeout\x00\x00"
			_, _ = conn.Write(append(binary.BigEndian.AppendUint32([]byte("E"), uint32(4+len(fields))), fields...))
			return
		}
		pipe(t, conn, backend, append(head, startup...))
	})
	d := directoryOf(t, lookup.Options{Database: strings.Replace(url, backend, pooler, 1) + "?sslmode=disable"})
	if err := d.Ready(t.Context()); err != nil {
		t.Fatalf("not ready: %v", err)
	}
	if got := one(t, d, resolver.KindTask, taskA); got.Team != "team_a" {
		t.Errorf("%v, team %q, %v", got.Outcome, got.Team, got.Err)
	}
	var prepared int
	if err := lookup.SessionDB(d).QueryRowContext(t.Context(), "SELECT count(*) FROM pg_prepared_statements").Scan(&prepared); err != nil || prepared != 0 {
		t.Errorf("%d statements are left prepared behind the pooler (%v)", prepared, err)
	}
}

// addressOf cuts host:port out of a database URL.
func addressOf(tb testing.TB, url string) string {
	tb.Helper()
	_, after, _ := strings.Cut(url, "@")
	address, _, found := strings.Cut(after, "/")
	if !found {
		tb.Fatalf("no address in %s", url)
	}
	return address
}

// listen serves connections on a free loopback port until the test ends.
func listen(tb testing.TB, serve func(net.Conn)) string {
	tb.Helper()
	return listenAt(tb, "127.0.0.1:0", serve)
}

func listenAt(tb testing.TB, address string, serve func(net.Conn)) string {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		conns []net.Conn
	)
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			all.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return listener.Addr().String()
}

// pipe connects a client with the backend, which is sent first what was read
// already.
func pipe(tb testing.TB, client net.Conn, backend string, first []byte) {
	tb.Helper()
	server, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer server.Close()
	if _, err := server.Write(first); err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	_, _ = io.Copy(server, client)
	_ = server.Close()
	<-done
}
