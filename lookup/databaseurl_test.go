package lookup_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/lookup"
)

func TestDatabaseURLsThatCantBeUsed(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none")
	notPEM := file(t, "no certificate")
	postgres := "postgresql://u:" + password + "@db/x?"
	for url, want := range map[string]string{
		"airflow":                                                      "not a URL",
		password + "@db/airflow":                                       "not a URL",
		"oracle+cx://u:" + password + "@db/x":                          `dialect "oracle" is unknown; use postgresql, mysql, mariadb or sqlite`,
		"postgresql://u:p@" + password + "@db/":                        "write it as %40",
		"postgresql://db:" + password + "/x":                           "the port is not a number",
		"postgresql://u:" + password + "@db:99999/x":                   "the port is not a number",
		"postgresql://u:" + password + "@db/x?a;b":                     "options after ?",
		"postgresql://u:" + password + "@db/x?chicken=1":               `option "chicken"`,
		"postgresql://u:" + password + "@::1/x":                        "an IPv6 address needs brackets; write it as [::1]",
		"mysql://u:" + password + "@2001:db8::7:3306/x":                "an IPv6 address needs brackets",
		"postgresql://u@a,fe80::1%25eth0:5432/x":                       "an IPv6 address needs brackets",
		postgres + "port=" + password:                                  "option port of the URL is not a number",
		postgres + "host=a:" + password:                                "option host of the URL: the port is not a number",
		postgres + "host=a,b,c&port=1,2":                               "option port of the URL can't be used; it must be one port for all hosts",
		postgres + "sslmode=" + password:                               "option sslmode of the URL can't be used; it must be disable, allow, prefer, ",
		postgres + "ssl=" + password:                                   "option ssl of the URL can't be used; it must be disable, allow, prefer, ",
		postgres + "sslrootcert=" + missing:                            "option sslrootcert of the URL can't be used (open " + missing + ": no such file or directory); it must be the path of a readable PEM file",
		postgres + "sslmode=verify-full&sslrootcert=" + notPEM:         "option sslrootcert of the URL can't be used; it must be the path of a readable PEM file",
		postgres + "sslcert=" + notPEM:                                 "option sslcert of the URL can't be used; it must be the paths of",
		postgres + "sslkey=" + notPEM + "&sslcert=" + missing:          "option sslcert, sslkey of the URL can't be used; it must be the paths of",
		postgres + "sslcertmode=" + password:                           "option sslcertmode of the URL can't be used; it must be disable, allow or require",
		postgres + "connect_timeout=" + password:                       "option connect_timeout of the URL can't be used; it must be a number of seconds",
		postgres + "target_session_attrs=" + password:                  "option target_session_attrs of the URL can't be used; it must be any, read-write, ",
		postgres + "min_protocol_version=3.2&max_protocol_version=3.0": "option min_protocol_version, max_protocol_version of the URL can't be used",
		postgres + "channel_binding=" + password:                       "option channel_binding of the URL can't be used; it must be disable, prefer or require",
		postgres + "require_auth=" + password:                          "option require_auth of the URL can't be used; it must be",
		postgres + "service=" + password:                               "option service of the URL can't be used; it must be a service in",
		postgres + "channel_binding=a&sslmode=b":                       "option sslmode of the URL can't be used; it must be disable",
		"mysql://u:" + password + "@db/x?chicken=1":                    `option "chicken"`,
		"mysql://u:" + password + "@db/x?ssl_mode=MAYBE":               "use DISABLED, PREFERRED",
		"mysql://u:" + password + "@db/x?ssl_ca=" + missing:            "option ssl_ca",
		"mysql://u:" + password + "@db/x?ssl_ca=" + notPEM:             "holds no certificate",
		"mysql://u:" + password + "@db/x?ssl_cert=" + notPEM:           "options ssl_cert and ssl_key",
		"sqlite://":                  "must name a file",
		"sqlite:///:memory:":         "must name a file",
		"sqlite:///file:/x?uri=true": `option "uri"`,
		"sqlite://home/airflow.db":   "a SQLite URL has no host",
	} {
		d, err := lookup.New(lookup.Options{Database: url, Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			d.Close()
			t.Errorf("%s was taken", url)
			continue
		}
		if text := err.Error(); strings.Contains(text, "parse") || !strings.HasPrefix(text, "database: ") || !strings.Contains(text, want) || strings.Contains(text, password) {
			t.Errorf("%s: got %q, want it to say database and %q, and no password", url, text, want)
		}
	}
}

func TestPostgresEnvironment_IsNamedWhereItIsWrong(t *testing.T) {
	t.Setenv("PGSSLMODE", password)
	for url, want := range map[string]string{
		"postgresql://u@db/x": "libpq's variables in the environment (PGSSLMODE, ...) or its files in the home directory can't be used; correct them",
		"postgresql://u@db/x?sslmode=disable&target_session_attrs=some": "option target_session_attrs of the URL",
		"postgresql://u@db/x?sslmode=disable":                           "",
	} {
		d, err := lookup.New(lookup.Options{Database: url, Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			d.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), password)) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}
