package edge_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/check"
)

// The fence is known by an answer that only it returns, whatever its mode.
func TestCheck_RecognizesTheFence(t *testing.T) {
	for name, options := range map[string]string{
		"enforce": "", "audit": "mode audit", "rules that weaken": "rules {\n unknown_routes unsafe_allow\n}", "multi_team off": "multi_team off",
	} {
		e := start(t, options)
		e.upstream.Answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"healthy"}`)) })
		tasks := &url.URL{Scheme: "http", Host: e.addr, Path: "/execution/"}
		wrong := &url.URL{Scheme: "http", Host: e.addr, Path: "/other/"}
		upstream := &url.URL{Scheme: "http", Host: e.upstream.Addr}
		for _, tc := range []struct {
			tasks, direct *url.URL
			want          [2]check.State
			text          string
		}{
			{tasks, tasks, [2]check.State{check.OK, check.OK}, "leads to the fence, and through it to upstream"},
			{wrong, upstream, [2]check.State{check.Problem, check.Problem}, "Airflow itself answers at"}, // no mount, so it is passed on unjudged
		} {
			var found []check.Finding
			check.AtWorker(t.Context(), tc.tasks, tc.direct, func(f check.Finding) { found = append(found, f) })
			if len(found) != 2 || found[0].State != tc.want[0] || found[1].State != tc.want[1] || !strings.Contains(found[0].Text, tc.text) {
				t.Errorf("%s: found %v", name, found)
			}
		}
	}
}
