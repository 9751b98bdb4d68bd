package airflow_test

import "slices"

// Those who ask, by the names that world.py gave their tokens.
const (
	nobody  = ""
	taskA   = "dag_a.t1"        // of team_a
	mappedA = "dag_a.mapped[1]" // of team_a, map index 1
	retried = "dag_a.retry"     // of team_a: an attempt that was reported up for retry
	taskB   = "dag_b.t1"        // of team_b
	taskG   = "dag_g.t1"        // of no team
	nowhere = "unknown"         // signed by Airflow, in no table
)

// oldSDK is the newest API version without GET /variables/keys and with
// GET /dag-runs/{dag_id}/previous.
const oldSDK = "2025-11-05"

// A cell is one row of the access matrix: what 3.3.2 with multi_team on answers
// to a task, and what the fence makes of it with its default settings.
type cell struct {
	name     string
	who      string
	request  request
	straight int
	fenced   verdict
}

// matrix is every cell. Those that only read come first, so that none sees what
// a write without the fence left behind; each write has rows of its own.
func matrix() []cell {
	cells := slices.Concat(variables, connections, xcoms, xcomWrites, dags, granted, dagWrites, own, assets, tokens, routes)
	slices.SortStableFunc(cells, func(a, b cell) int {
		switch {
		case a.request.reads() == b.request.reads():
			return 0
		case a.request.reads():
			return -1
		default:
			return 1
		}
	})
	return cells
}
