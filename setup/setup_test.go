package setup_test

import (
	"strings"
	"testing"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/setup"
)

func complete(c config.Config) error {
	_, _, err := setup.Complete(c, func(name string) (string, bool) { return "/dev/null", name == "AIRFLOW_CONFIG" })
	return err
}

func TestComplete_ReportsEveryInvalidURL(t *testing.T) {
	t.Parallel()
	wrong := config.Config{
		Mode: "off", Token: config.Token{JWKS: "file://password/jwks"}, Database: "mssql://u:password@db",
		Redis: "http://:password@cache", Cache: config.Cache{Key: "0123456789abcdef"},
	}
	service := config.Config{Token: config.Token{Secret: "s"}, Lookup: config.Lookup{URL: "http://u:password@lookup", Token: "password\n"}}
	for want, c := range map[string]config.Config{
		`invalid mode "off"`: wrong, "invalid token jwks: ": wrong, `database: invalid dialect "mssql"`: wrong, `redis: `: wrong,
		"invalid lookup URL: ": service, "invalid lookup token: ": service,
	} {
		if err := complete(c); err == nil || !strings.Contains("\n"+err.Error(), "\n"+want) || strings.Contains(err.Error(), "password/") || strings.Contains(err.Error(), ":password") {
			t.Errorf("the error is %v: want a line that starts with %q, without the password", err, want)
		}
	}
	if err := complete(config.Config{Token: config.Token{Secret: "s"}, Database: "postgresql+psycopg2://u:p@db/airflow", Redis: "redis://cache"}); err != nil {
		t.Error(err)
	}
}
