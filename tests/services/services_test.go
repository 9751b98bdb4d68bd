package services_test

import (
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

func TestServers_AnswerAndStop(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) (*services.Process, string){
		"redis": func(t *testing.T) (*services.Process, string) {
			t.Helper()
			server := services.Redis(t)
			return server.Process, server.URL()
		},
		"postgres": func(t *testing.T) (*services.Process, string) {
			t.Helper()
			server := services.Postgres(t)
			return server.Process, server.URL("airflow", "airflow")
		},
		"mariadb": func(t *testing.T) (*services.Process, string) {
			t.Helper()
			server := services.MariaDB(t)
			return server.Process, server.URL("root", "airflow")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			process, url := start(t)
			_, address, _ := strings.Cut(url, "://")
			if _, after, ok := strings.Cut(address, "@"); ok {
				address = after
			}
			address, _, _ = strings.Cut(address, "/")
			if err := services.Dial("tcp", address)(t.Context()); err != nil {
				t.Errorf("%s does not accept connections: %v", url, err)
			}
			process.Stop()
			if err := services.Dial("tcp", address)(t.Context()); err == nil {
				t.Errorf("%s still accepts connections after Stop", url)
			}
		})
	}
}
