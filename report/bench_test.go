package report_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/report"
)

// BenchmarkRead answers how long a line takes: a denial, what was allowed, and what is
// no decision.
func BenchmarkRead(b *testing.B) {
	for name, line := range map[string]string{
		"denied":  denied,
		"allowed": strings.Replace(denied, `"decision":"deny"`, `"decision":"allow"`, 1),
		"other":   `{"level":"info","ts":1795000000.5,"logger":"http.log.access","msg":"handled request","request":{"uri":"/x"}}`,
	} {
		b.Run(name, func(b *testing.B) {
			const lines = 1000
			var log strings.Builder
			for i := range lines {
				log.WriteString(strings.Replace(line, "var_b", fmt.Sprintf("var_%d", i%100), 1) + "\n")
			}
			b.SetBytes(int64(log.Len()))
			b.ReportAllocs()
			for b.Loop() {
				if err := report.NewCollector().Read(strings.NewReader(log.String())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

const denied = `{"level":"info","ts":1795000000.5,"logger":"http.handlers.dagfence.decisions","msg":"request refused","decision":"deny","reason":"other_team",` +
	`"mode":"enforce","forwarded":false,"kind":"variable","action":"read","resource":"var_b","task_instance_id":"01990000-0000-7000-8000-0000000000a1",` +
	`"dag_id":"dag_a","run_id":"r","task_id":"t1","map_index":-1,"task_team":"team_a","owner_team":"team_b","tier":"memory","age":0.2,"duration":0.00002,` +
	`"method":"GET","path":"/execution/variables/var_b","remote":"127.0.0.1:5","api_version":"2026-06-30","sdk_version":"1.3.2"}`
