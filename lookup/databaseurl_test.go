package lookup_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/lookup"
)

func TestDatabaseURL_InvalidIsAnError(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none")
	notPEM := file(t, "no certificate")
	postgres := "postgresql://u:" + password + "@db/x?"
	for url, want := range map[string]string{
		"airflow":                                                      "invalid URL: must be dialect://",
		password + "@db/airflow":                                       "invalid URL: must be dialect://",
		"oracle+cx://u:" + password + "@db/x":                          `invalid dialect "oracle": must be postgresql, mysql, mariadb or sqlite`,
		"postgresql://u:p@" + password + "@db/":                        "write it as %40",
		"postgresql://db:" + password + "/x":                           "invalid port: must be a number from 1 to 65535",
		"postgresql://u:" + password + "@db:99999/x":                   "invalid port: must be a number from 1 to 65535",
		"postgresql://u:" + password + "@db/x?a;b":                     "options after ?",
		"postgresql://u:" + password + "@db/x?chicken=1":               `option "chicken"`,
		"postgresql://u:" + password + "@::1/x":                        "an IPv6 address needs brackets: write [::1]",
		"mysql://u:" + password + "@2001:db8::7:3306/x":                "an IPv6 address needs brackets",
		"postgresql://u@a,fe80::1%25eth0:5432/x":                       "an IPv6 address needs brackets",
		postgres + "port=" + password:                                  "invalid option port: must be a number from 1 to 65535, or one for each host",
		postgres + "host=a:" + password:                                "option host: invalid port",
		postgres + "host=a,b,c&port=1,2":                               "invalid option port: must be one port for all hosts",
		postgres + "sslmode=" + password:                               "invalid option sslmode: must be disable, allow, prefer, ",
		postgres + "ssl=" + password:                                   "invalid option ssl: must be disable, allow, prefer, ",
		postgres + "sslrootcert=" + missing:                            "invalid option sslrootcert (open " + missing + ": no such file or directory): must be the path of a readable PEM file",
		postgres + "sslmode=verify-full&sslrootcert=" + notPEM:         "invalid option sslrootcert: must be the path of a readable PEM file",
		postgres + "sslcert=" + notPEM:                                 "invalid option sslcert: must be the paths of",
		postgres + "sslkey=" + notPEM + "&sslcert=" + missing:          "invalid option sslcert, sslkey: must be the paths of",
		postgres + "sslcertmode=" + password:                           "invalid option sslcertmode: must be disable, allow or require",
		postgres + "connect_timeout=" + password:                       "invalid option connect_timeout: must be a number of seconds",
		postgres + "target_session_attrs=" + password:                  "invalid option target_session_attrs: must be any, read-write, ",
		postgres + "min_protocol_version=3.2&max_protocol_version=3.0": "invalid option min_protocol_version, max_protocol_version",
		postgres + "channel_binding=" + password:                       "invalid option channel_binding: must be disable, prefer or require",
		postgres + "require_auth=" + password:                          "invalid option require_auth: must be",
		postgres + "service=" + password:                               "invalid option service: must be a service in",
		postgres + "channel_binding=a&sslmode=b":                       "invalid option sslmode: must be disable",
		"mysql://u:" + password + "@db/x?chicken=1":                    `option "chicken"`,
		"mysql://u:" + password + "@db/x?ssl_mode=MAYBE":               "invalid option ssl_mode: must be DISABLED, PREFERRED",
		"mysql://u:" + password + "@db/x?ssl_ca=" + missing:            "option ssl_ca",
		"mysql://u:" + password + "@db/x?ssl_ca=" + notPEM:             "holds no certificate",
		"mysql://u:" + password + "@db/x?ssl_cert=" + notPEM:           "options ssl_cert and ssl_key",
		"sqlite://":                  "no file in the SQLite URL",
		"sqlite:///:memory:":         "no file in the SQLite URL",
		"sqlite:///file:/x?uri=true": `option "uri"`,
		"sqlite://home/airflow.db":   "unexpected host in a SQLite URL",
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
		"postgresql://u@db/x": "invalid libpq environment variables (PGSSLMODE, ...) or files in the home directory: correct them",
		"postgresql://u@db/x?sslmode=disable&target_session_attrs=some": "invalid option target_session_attrs",
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
