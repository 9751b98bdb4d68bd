package sqlalchemy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dagfence/dagfence/lookup/sqlalchemy"
)

// Where a URL leads, as SQLAlchemy's psycopg dialects and libpq have it.
func TestPostgresURL_NamesServers(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"postgresql+psycopg2://u@/db?host=/cloudsql/proj:region:inst":                   "/cloudsql/proj:region:inst 5432",
		"postgresql+psycopg2://u@/db?host=/cloudsql/a:r:i&host=/cloudsql/b:r:i":         "/cloudsql/a:r:i 5432, /cloudsql/b:r:i 5432",
		"postgresql+psycopg2://u@:6543/db?host=/run/postgresql":                         "/run/postgresql 6543",
		"postgresql+psycopg2://u@x:1/db?host=h1:5433&host=h2":                           "h1 5433, h2 5432",
		"postgresql+psycopg2://u@/db?host=h1:5433,h2:5434":                              "h1 5433, h2 5434",
		"postgresql+psycopg2://u@/db?host=h1,h2&port=5433,5434":                         "h1 5433, h2 5434",
		"postgresql+psycopg2://u@/db?host=h1&host=h2&port=5433&port=5434":               "h1 5433, h2 5434",
		"postgresql+psycopg2://u@h1,h2/db":                                              "h1 5432, h2 5432",
		"postgresql+psycopg2://u@h1,h2:5433/db":                                         "h1 5433, h2 5433",
		"postgresql://u@h1:5433,h2:5434/db":                                             "h1 5433, h2 5434",
		"postgresql://u@h1:5433,h2/db":                                                  "h1 5433, h2 5432",
		"postgresql://u@[::1]:5433,[fe80::2]/db":                                        "::1 5433, fe80::2 5432",
		"postgresql://u@%2Frun%2Fpostgresql/db":                                         "/run/postgresql 5432",
		"postgresql://u@/db?host=::1":                                                   "::1 5432",
		"postgresql:///?host=h&user=u&password=p&dbname=db":                             "h 5432",
		"postgresql://u@h/db?target_session_attrs=read-write&load_balance_hosts=random": "h 5432",
	} {
		dsn, _, err := sqlalchemy.PostgresDSN(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		config, err := pgx.ParseConfig(dsn + " sslmode=disable")
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		servers := []string{fmt.Sprint(config.Host, " ", config.Port)}
		for _, f := range config.Fallbacks {
			servers = append(servers, fmt.Sprint(f.Host, " ", f.Port))
		}
		if got := strings.Join(servers, ", "); got != want || config.User != "u" || config.Database != "db" {
			t.Errorf("%s: %s, user %s, database %s; want %s", url, got, config.User, config.Database, want)
		}
	}
	for _, url := range []string{
		"postgresql://u@h/db?host=a:secret", "postgresql://u@h/db?port=secret", "postgresql://u@a:1,b:secret/db", "postgresql://u@h/db?requirepeer=secret", "postgresql://u@h/db?sslcrl=secret",
	} {
		if _, _, err := sqlalchemy.PostgresDSN(url); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
