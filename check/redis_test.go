package check_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/check"
	"github.com/dagfence/dagfence/tests/services"
)

func TestRedis_ProblemsAreNamed(t *testing.T) {
	t.Parallel()
	server := services.Redis(t, "--requirepass", "pass-word")
	replica := services.Redis(t, "--replicaof", "127.0.0.1 1")
	full := services.Redis(t, "--maxmemory", "100kb", "--maxmemory-policy", "noeviction")
	bounded := services.Redis(t, "--maxmemory", "100mb", "--maxmemory-policy", "noeviction")
	evicting := services.Redis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	admin := server.Client(t)
	for _, command := range []string{
		"AUTH pass-word", // of this connection, which a pool of one keeps
		"ACL SETUSER fence on >pass-word ~dagfence:* &dagfence:* +ping +getrange +set +publish +subscribe",
		"ACL SETUSER reader on >pass-word ~dagfence:* &dagfence:* +ping +getrange +subscribe +publish",
	} {
		var words []any
		for word := range strings.FieldsSeq(command) {
			words = append(words, word)
		}
		if err := admin.Do(t.Context(), words...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		url   string
		state check.State
		text  string
	}{
		"the right user":   {"redis://fence:pass-word@" + server.Addr, check.OK, "delivers messages"},
		"too few rights":   {"redis://reader:pass-word@" + server.Addr, check.Problem, "SET: NOPERM"},
		"no password":      {server.URL(), check.Problem, "set user and password in the URL"},
		"another password": {"redis://:pass-wordless@" + server.Addr, check.Problem, "set the right user and password"},
		"a replica":        {replica.URL(), check.Problem, "this is a replica"},
		"full":             {full.URL(), check.Problem, "set a higher maxmemory"},
		"bounded":          {bounded.URL(), check.Warning, "refuses entries once it is full"},
		"evicting":         {evicting.URL(), check.OK, "stores entries"},
		"nobody":           {"redis://127.0.0.1:1", check.Problem, "nothing listens there"},
		"not TLS":          {"rediss://" + evicting.Addr, check.Problem, "the port may not serve TLS"},
		"no such CA file":  {"rediss://" + evicting.Addr + "?ca=/nowhere/ca.pem", check.Problem, "redis: ca: open /nowhere/ca.pem: no such file or directory: must be the path of a PEM file"},
		"no cluster":       {"redis-cluster://" + evicting.Addr, check.Problem, "cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := right(t)
			options.Fence.Redis = tc.url
			wantFinding(t, atFence(t, options, "pass-word"), "redis", tc.state, tc.text)
		})
	}
}

func TestRedis_TLSErrorsNameTheOption(t *testing.T) {
	t.Parallel()
	stub := httptest.NewTLSServer(http.NotFoundHandler())
	defer stub.Close()
	pair := stub.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "dagfence-") //nolint:usetesting // the server may run as another user
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cert, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	port := services.Port(t)
	services.Redis(t, "--port", "0", "--bind", "127.0.0.1", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", keyFile, "--tls-ca-cert-file", cert)
	for options, want := range map[string]string{
		"":                      "set the PEM file of that authority in the option ssl_ca_certs of its URL",
		"?ssl_ca_certs=" + cert: "if it requires a client certificate, set one in the options ssl_certfile and ssl_keyfile of its URL",
	} {
		settings := right(t)
		settings.Fence.Redis = "rediss://127.0.0.1:" + port + options
		wantFinding(t, atFence(t, settings, "pass-word"), "redis", check.Problem, want)
	}
}
