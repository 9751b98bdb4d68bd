package sqlalchemy_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dagfence/dagfence/lookup/sqlalchemy"
)

func TestPostgresURL_IsReadAsBySQLAlchemy(t *testing.T) {
	t.Parallel()
	type want struct {
		host     string
		port     uint16
		user     string
		database string
		password string
		tls      bool
	}
	for url, want := range map[string]want{
		"postgresql://u:p@db:6543/airflow":                                       {"db", 6543, "u", "airflow", "p", true},
		"postgresql+psycopg2://u:p@db/airflow":                                   {"db", 5432, "u", "airflow", "p", true},
		"postgresql+psycopg://u@db/airflow?sslmode=disable":                      {"db", 5432, "u", "airflow", "", false},
		"postgresql+asyncpg://u:p@db/airflow?ssl=disable":                        {"db", 5432, "u", "airflow", "p", false},
		"postgres://u:p@[::1]:1/airflow":                                         {"::1", 1, "u", "airflow", "p", true},
		"postgresql://u%40x:p%40%2F%3A%25+ %zz@db/air%20flow":                    {"db", 5432, "u@x", "air flow", "p@/:%+ %zz", true},
		"postgresql://u:a/b#c?d%27\\'@db/airflow":                                {"db", 5432, "u", "airflow", `a/b#c?d'\'`, true},
		"postgresql://u:p@/airflow?host=/var/run/postgresql":                     {"/var/run/postgresql", 5432, "u", "airflow", "p", false},
		"postgresql://u:p@/airflow?host=h1:7000&host=h2:7001":                    {"h1", 7000, "u", "airflow", "p", true},
		"postgresql://u:p@db/it's?sslmode=disable&keepalives=1&options=-c%20a=b": {"db", 5432, "u", "it's", "p", false},
	} {
		dsn, password, err := sqlalchemy.PostgresDSN(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		got := struct {
			host     string
			port     uint16
			user     string
			database string
			password string
			tls      bool
		}{config.Host, config.Port, config.User, config.Database, password, config.TLSConfig != nil}
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", url, got, want)
		}
	}
}
