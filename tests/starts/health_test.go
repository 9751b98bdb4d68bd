package starts_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// health runs dagfence health.
func health(tb testing.TB, status string) (code int, out, errors string) {
	tb.Helper()
	return call(tb, "health", "--status", status)
}

func TestHealth_AsksARunningFenceOrLookupService(t *testing.T) {
	t.Parallel()
	owners := write(t, "owners.yaml", "dags: {dag_a: team_a}\n")
	proxy := sidecar.Proxy(t, "http://127.0.0.1:1", "--ownership-file", owners)
	lookup := sidecar.Lookup(t, "--ownership-file", owners)
	certificate := sidecar.NewCertificate(t, "lookup.example")
	secure := services.Address(t)
	fence(t, "lookup", "--listen", secure, "--ownership-file", owners, "--tls-cert", certificate.Cert, "--tls-key", certificate.Key, "--client-ca", certificate.Cert).says(t, "lookup service listens")
	for status, what := range map[string]string{proxy.Status: "the fence", lookup.Addr: "the lookup service", "https://" + secure: "the lookup service with client certificates"} {
		if code, out, errors := health(t, status); code != 0 || out != "ready\n" || errors != "" {
			t.Errorf("%s: code %d, %q, %q", what, code, out, errors)
		}
	}
	for status, want := range map[string]string{
		proxy.Addr: "neither a fence nor a lookup service", secure: "neither a fence nor a lookup service", services.Address(t): "connection refused",
	} {
		if code, out, errors := health(t, status); code != 1 || out != "" || !strings.HasPrefix(errors, "Error: ") || !strings.Contains(errors, want) || strings.Count(errors, "\n") != 1 {
			t.Errorf("code %d, %q, %q, want %q", code, out, errors, want)
		}
	}
}

func TestHealth_FailsWhileTheFenceEnds(t *testing.T) {
	t.Parallel()
	status := services.Address(t)
	p := fence(t, proxy(t, "127.0.0.1:1", services.Address(t), "--status", status)...)
	p.says(t, running)
	if code, _, errors := health(t, status); code != 0 {
		t.Errorf("code %d, %q", code, errors)
	}
	p.signal(t, syscall.SIGTERM)
	p.says(t, "shutting down")
	if code, _, errors := health(t, status); code != 1 || !strings.Contains(errors, "shutting down") && !strings.Contains(errors, "refused") {
		t.Errorf("code %d, %q", code, errors)
	}
}

// A container's health check ends by itself, before whoever runs it ends it.
func TestHealth_IsBounded(t *testing.T) {
	t.Parallel()
	addr, _ := silent(t)
	if code, _, errors := health(t, addr); code != 1 || !strings.Contains(errors, "no answer within 5s") {
		t.Errorf("code %d, %q", code, errors)
	}
}
