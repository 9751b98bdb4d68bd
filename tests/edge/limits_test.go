package edge_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// logicalDates is what an ExternalTaskSensor sends for so many dates, with the
// longest form that they take.
func logicalDates(n int) string {
	var query strings.Builder
	for i := range n {
		date := time.Date(2026, 1, 1, 0, i, 0, 123456000, time.UTC).Format("2006-01-02T15:04:05.000000-07:00")
		query.WriteString("&logical_dates=" + url.QueryEscape(date))
	}
	return query.String()
}

func TestLimits_SensorThatWaitsForAThousandDatesPasses(t *testing.T) {
	e := start(t, "")
	for _, n := range []int{1, 200, 1000} {
		for _, endpoint := range []string{"/task-instances/count", "/task-instances/states", "/dag-runs/count"} {
			e.allowed(t, taskA, fmt.Sprintf("GET %s?dag_id=dag_a&task_ids=t1%s", endpoint, logicalDates(n)))
		}
		e.denied(t, taskA, fmt.Sprintf("GET /task-instances/count?dag_id=dag_b%s", logicalDates(n)))
		// What decides stands behind all of them.
		e.denied(t, taskA, fmt.Sprintf("GET /task-instances/count?%s&dag_id=dag_b", logicalDates(n)[1:]))
		e.refused(t, taskA, fmt.Sprintf("GET /task-instances/count?dag_id=dag_a%s&dag_id=dag_b", logicalDates(n)),
			http.StatusBadRequest, "invalid_request")
	}
}

func TestLimits_TargetThatHttptoolsTakesPassesAndNoLonger(t *testing.T) {
	e := start(t, "")
	const start = "/variables/var_a?ignored="
	filled := func(length int) string { return start + strings.Repeat("x", length-len("/execution"+start)) }
	e.allowed(t, taskA, "GET "+filled(65535))
	e.refused(t, taskA, "GET "+filled(65536), http.StatusRequestURITooLong, "invalid_request")

	longest := "/variables/" + strings.Repeat("x", 8<<10-len("/execution/variables/"))
	e.allowed(t, taskA, "GET "+longest)
	e.refused(t, taskA, "GET "+longest+"x", http.StatusRequestURITooLong, "invalid_request")
	status, body := e.raw(t, "GET /ui/"+strings.Repeat("x", 8<<10)+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if status != "414" || len(e.upstream.Take()) != 0 {
		t.Errorf("a long path outside the mount: %s %s, want 414", status, body)
	}
}

// A name goes to the sources of owners, into messages and logs.
func TestLimits_NameInAQueryIsAsBoundedAsInAPath(t *testing.T) {
	e := start(t, "")
	e.refused(t, taskA, "GET /dag-runs/count?dag_id="+strings.Repeat("x", 8<<10+1), http.StatusBadRequest, "invalid_request")
	e.refused(t, taskA, "GET /assets/by-uri?uri="+strings.Repeat("%41", 3<<10), http.StatusBadRequest, "invalid_request")
	e.allowed(t, taskA, "GET /dag-runs/count?dag_id="+strings.Repeat("x", 8<<10)) // upstream counts 0 of a dag that is not there
}

// Go's server answers these itself, before any handler.
func TestLimits_LonePercentIsRefusedBeforeTheFence(t *testing.T) {
	e := start(t, "")
	for _, path := range []string{"/execution/variables/100%", "/execution/variables/50%off", "/ui/%"} {
		status, body := e.raw(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if status != "400" || !strings.Contains(body, "400 Bad Request") || len(e.upstream.Take()) != 0 {
			t.Errorf("%s: %s %s, want a bare 400", path, status, body)
		}
	}
	e.allowed(t, taskA, "GET /variables/100%25")
}
