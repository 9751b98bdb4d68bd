package lookup_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/tests/services"
)

// A password is rotated in two places, one after the other. No question fails in
// between while either password that the fence has had is taken.
func TestDatabasePassword_IsFollowed(t *testing.T) {
	t.Parallel()
	p := services.Postgres(t)
	admin := open(t, "pgx", "postgres://airflow@"+p.Addr+"/airflow")
	postgres := server{dialect: "postgresql"}
	postgres.migrate(t, admin, "3.3")
	grantedRole(t, admin, "")
	var hba string
	if err := admin.QueryRowContext(t.Context(), "SHOW hba_file").Scan(&hba); err != nil {
		t.Fatal(err)
	}
	execute(t, admin, "COPY (VALUES ('host all airflow all trust'), ('host all all all scram-sha-256')) TO '"+hba+"'")
	execute(t, admin, "SELECT pg_reload_conf()")
	setAt := func(password string) { execute(t, admin, "ALTER ROLE dagfence PASSWORD '"+password+"'") }
	address := p.Addr

	for name, source := range map[string]struct {
		url     func(path string) string // with the password in it; the file's own path names it
		content string
	}{
		"a placeholder's file": {nil, "postgresql://dagfence:%s@" + address + "/airflow\n"},
		"a passfile":           {func(path string) string { return "postgresql://dagfence@" + address + "/airflow?passfile=" + path }, "*:*:*:*:%s\n"},
	} {
		path := filepath.Join(t.TempDir(), "secret")
		setHere := func(password string) { write(t, path, fmt.Sprintf(source.content, password)) }
		setAt("first")
		setHere("first")
		refresh := func() (string, error) {
			if source.url != nil {
				return source.url(path), nil
			}
			content, err := os.ReadFile(path)
			return strings.TrimSpace(string(content)), err
		}
		url, err := refresh()
		if err != nil {
			t.Fatal(err)
		}
		d := directoryOf(t, lookup.Options{Database: url, Refresh: refresh})
		asked := func(when string, want resolver.Outcome) {
			t.Helper()
			lookup.SessionDB(d).SetMaxIdleConns(0) // each question connects
			if got := one(t, d, resolver.KindVariable, "var_b"); got.Outcome != want || got.Err != nil && strings.Contains(got.Err.Error(), "first") {
				t.Errorf("%s, %s: %v, %v", name, when, got.Outcome, got.Err)
			}
		}
		asked("at first", resolver.Found)
		setHere("second")
		asked("before the server takes the new one", resolver.Found)
		setAt("second")
		asked("when it does", resolver.Found)
		setHere("")
		asked("while the file is written", resolver.Found)
		setHere("second")
		setAt("third")
		asked("before we know the new one", resolver.Unavailable)
		setHere("third")
		asked("when we do", resolver.Found)
	}
}

func TestServerFiles_AreFollowed(t *testing.T) {
	t.Parallel()
	d := directoryOf(t, lookup.Options{OwnershipFile: file(t, "dags: {d: team_d}")})
	old, next := newPKI(t), newPKI(t)
	tokens := file(t, "another\n"+bearer+"\n")
	address, stop := run(t, d, lookup.ServerOptions{TLSCert: old.cert, TLSKey: old.key, ClientCA: old.ca, TokenFile: tokens})
	defer func() { _ = stop() }()
	ask := func(server, shown *pki) int {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientConfig(server, shown)}}
		defer client.CloseIdleConnections()
		status, _ := call(t, client, "https://"+address)
		return status
	}
	if status := ask(old, old); status != http.StatusOK {
		t.Fatalf("at first: %d", status)
	}
	write(t, tokens, "another\n")
	if status := ask(old, old); status != http.StatusUnauthorized {
		t.Errorf("with a token that was taken out: %d", status)
	}
	write(t, tokens, bearer)
	write(t, old.ca, "half of a")
	if status := ask(old, old); status != http.StatusOK {
		t.Errorf("while the authorities are written: %d", status)
	}
	authorities, err := os.ReadFile(next.ca)
	if err != nil {
		t.Fatal(err)
	}
	write(t, old.ca, string(authorities))
	if status := ask(old, next); status != http.StatusOK {
		t.Errorf("with a certificate of the new authority: %d", status)
	}
	if status := ask(old, old); status == http.StatusOK {
		t.Error("a certificate of the old authority is taken")
	}
	cert, key := next.issue(t, x509.ExtKeyUsageServerAuth)
	write(t, old.cert, cert)
	write(t, old.key, key)
	if status := ask(next, next); status != http.StatusOK {
		t.Errorf("with the new certificate served: %d", status)
	}
}
