package route_test

import (
	"strings"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/route"
)

var cases = []struct {
	name    string
	request route.Request
	allocs  float64
}{
	{"variable", route.Request{Method: "GET", Path: "/variables/some_key", APIVersion: newest, HasAPIVersion: true}, 0},
	{"xcom slice", route.Request{Method: "GET", Path: "/xcoms/dag/manual__2026-01-01T00:00:00+00:00/task/return_value/slice", RawQuery: "start=1&stop=5", APIVersion: newest, HasAPIVersion: true}, 0},
	{"heartbeat", route.Request{Method: "PUT", Path: "/task-instances/018f0000-0000-7000-8000-00000000000a/heartbeat", APIVersion: newest, HasAPIVersion: true}, 0},
	{"dag in an escaped query", route.Request{Method: "GET", Path: "/dag-runs/count", RawQuery: "dag_id=a%20b&run_ids=manual__2026-01-01T00%3A00%3A00%2B00%3A00", APIVersion: newest, HasAPIVersion: true}, 1},
	{"no version", route.Request{Method: "GET", Path: "/variables/keys", RawQuery: "limit=10"}, 0},
	{"unlisted", route.Request{Method: "GET", Path: "/nothing/here"}, 0},
}

func TestFind_AllocatesOnlyToDecode(t *testing.T) {
	for _, c := range cases {
		got := testing.AllocsPerRun(100, func() { _, _ = route.Find(c.request) })
		if got > c.allocs {
			t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.allocs)
		}
	}
}

// What a path costs that is outside the mount must not grow with how often the
// mount's name is in it: a client without a token can send 8 KiB of names.
func TestLocate_CleansAPathOnce(t *testing.T) {
	for name, path := range map[string]string{
		"as many as pass": "/ui" + strings.Repeat("/execution", 8) + strings.Repeat("/x", 4000) + "//x",
		"nothing else":    "/ui" + strings.Repeat("/execution", 800) + "//x",
		"run together":    "/ui/" + strings.Repeat("xexecution/", 700) + "/x",
	} {
		for _, mount := range []route.Mount{"/execution", "/exec", "/a/execution"} {
			got := testing.AllocsPerRun(10, func() { _, _, _ = mount.Locate(path) })
			if got > 100 {
				t.Errorf("%s, %s: %v allocations, want at most 100", name, mount, got)
			}
		}
	}
}

func BenchmarkFind(b *testing.B) {
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = route.Find(c.request)
			}
		})
	}
}
