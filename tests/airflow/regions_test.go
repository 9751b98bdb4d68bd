package airflow_test

import (
	"net/http"
	"strings"
	"testing"
)

// The tasks of a loop run in passes, each in a region of its own. To a client the
// map index of a task that is not mapped is -1 in every pass, and that of a mapped
// one its place in the expansion of its own pass.
const (
	inPass     = "dag_a.loop.plain[1]"     // in the second pass
	mappedPass = "dag_a.loop.mapped[1][1]" // in the second pass, map index 1
)

// wantXComsOfRegions writes and deletes XComs as a plain, a mapped and a regional
// task, at their own map index and at another's, under the oldest and the newest
// API version. What passes reaches the XComs of the attempt that asks, and of no
// other: neither of the same task in another pass, nor at another index.
func wantXComsOfRegions(t *testing.T, w *world, straight, fenced *deployment) {
	t.Helper()
	const (
		loop      = "/xcoms/dag_a/{run1}/loop.plain/x_delete"
		loopMap   = "/xcoms/dag_a/{run1}/loop.mapped/x_delete"
		ownMap    = "/xcoms/dag_a/{run1}/mapped/x_delete"
		ownPlain  = "/xcoms/dag_a/{run1}/t1/x_delete"
		otherLoop = "/xcoms/dag_a/{run1}/loop.__loop_gate/x_delete"
	)
	for _, c := range []struct {
		who, target string
		passes      bool
		straight    string // whose XComs Airflow itself changes; "" for none
	}{
		{taskA, ownPlain, true, taskA},
		{taskA, ownPlain + "?map_index=-1", true, taskA},
		{taskA, ownPlain + "?map_index=0", false, ""},
		{taskA, loop, false, ""},
		{taskA, ownMap + "?map_index=1", false, mappedA},
		{mappedA, ownMap + "?map_index=1", true, mappedA},
		{mappedA, ownMap + "?map_index=2", false, "dag_a.mapped[2]"},
		{mappedA, ownMap, false, ""},
		{inPass, loop, true, inPass},
		{inPass, loop + "?map_index=-1", true, inPass},
		{inPass, loop + "?map_index=0", false, ""},
		{inPass, loop + "?map_index=1", false, ""},
		{inPass, otherLoop, false, "dag_a.loop.__loop_gate[1]"},
		{inPass, loopMap + "?map_index=1", false, mappedPass},
		{mappedPass, loopMap + "?map_index=1", true, mappedPass},
		{mappedPass, loopMap + "?map_index=0", false, "dag_a.loop.mapped[1][0]"},
		{mappedPass, loopMap, false, ""},
		{mappedPass, loop, false, inPass},
	} {
		for _, version := range []string{"2025-04-11", newestVersion[upcoming]} {
			for _, r := range []request{post(c.target, `"v"`), del(c.target)} {
				r = r.under(version)
				plain, guarded := straight.send(t, w, c.who, r), fenced.send(t, w, c.who, r)
				wantChanged(t, w, plain, c.straight)
				// 3.0's SDK deletes a mapped task's XComs without its index.
				switch unindexed := r.method == http.MethodDelete && version == "2025-04-11" && !strings.Contains(c.target, "?"); {
				case c.passes, unindexed && (c.who == mappedA || c.who == mappedPass) && c.straight == "":
					passes.check(t, plain, guarded)
				default:
					denied.check(t, plain, guarded)
				}
				if t.Failed() {
					t.Fatalf("%s %s as %s under %s: straight %d %s, fenced %d %s", r.method, c.target, c.who, version,
						plain.status, plain.body, guarded.status, guarded.body)
				}
			}
		}
	}
}

// wantChanged checks that the XComs of the task instance, and of no other, were
// changed.
func wantChanged(t *testing.T, w *world, got outcome, whose string) {
	t.Helper()
	if whose == "" {
		wantSame(t, "change of the database, straight", "", got.changes)
		return
	}
	if got.changes == "" {
		t.Errorf("nothing was changed, want an XCom of %s", whose)
	}
	id := w.IDs[whose]
	for line := range strings.Lines(got.changes) {
		table, rest, _ := strings.Cut(line[1:], " | ")
		if owner, _, _ := strings.Cut(rest, " | "); table != "xcom_v2" || strings.ReplaceAll(owner, "-", "") != strings.ReplaceAll(id, "-", "") {
			t.Errorf("changed: %s, want an XCom of %s (%s)", line, whose, id)
		}
	}
}
