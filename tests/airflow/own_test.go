package airflow_test

import "net/http"

const (
	alive = `{"hostname":"worker","pid":100}`
	begin = `{"state":"running","hostname":"worker","unixname":"airflow","pid":100,"start_date":"2026-01-01T00:00:00Z"}`
	done  = `{"state":"success","end_date":"2026-01-01T00:01:00Z","task_outlets":[],"outlet_events":[]}`
)

// own: requests of a task instance about itself. No other may send them.
var own = []cell{
	{"a heartbeat", taskA, put("/task-instances/{dag_a.t1}/heartbeat", alive), 204, passes},
	{"a heartbeat of a teamless task", taskG, put("/task-instances/{dag_g.t1}/heartbeat", alive), 204, passes},
	{"a heartbeat from elsewhere", taskA, put("/task-instances/{dag_a.t1}/heartbeat", `{"hostname":"other","pid":1}`), 409, passes},
	{"a heartbeat of an attempt up for retry", retried, put("/task-instances/{dag_a.retry}/heartbeat", alive), 410, passes},
	{"a heartbeat of an unknown task", nowhere, put("/task-instances/{unknown}/heartbeat", alive), 404, passes},
	{"a heartbeat for another task", taskA, put("/task-instances/{dag_a.t2}/heartbeat", alive), 403, denied},
	{"a heartbeat for the other team's task", taskA, put("/task-instances/{dag_b.t1}/heartbeat", alive), 403, denied},
	{"running", "dag_a.start", patch("/task-instances/{dag_a.start}/run", begin), 200, passes},
	{"running with a workload token", "workload:dag_g.start", patch("/task-instances/{dag_g.start}/run", begin), 200, passes},
	{"running another task with a workload token", "workload:dag_a.start", patch("/task-instances/{dag_b.start}/run", begin), 403, denied},
	{"a workload token elsewhere", "workload:dag_a.t1", get("/variables/var_a"), 403, denied},
	{"a workload token for a heartbeat", "workload:dag_a.t1", put("/task-instances/{dag_a.t1}/heartbeat", alive), 403, denied},
	{"an execution token for a connection test", taskA, get("/connection-tests/{dag_a.t1}/connection"), 403, denied},
	{"success", "dag_a.end", patch("/task-instances/{dag_a.end}/state", done), 204, passes},
	{"the success of another task", taskA, patch("/task-instances/{dag_a2.end}/state", done), 403, denied},
	{"a state that is none", taskA, patch("/task-instances/{dag_a.t1}/state", `{"state":"great"}`), 422, passes},
	{"rendered fields", taskA, put("/task-instances/{dag_a.t1}/rtif", `{"doc":"rendered"}`), 201, passes},
	{"rendered fields of another task", taskA, put("/task-instances/{dag_b.t1}/rtif", `{"doc":"forged"}`), 403, denied},
	{"a rendered map index", mappedA, patch("/task-instances/{dag_a.mapped[1]}/rendered-map-index", `"one"`), 204, passes},
	{"skipping downstream", taskA, patch("/task-instances/{dag_a.t1}/skip-downstream", `{"tasks":["no_task"]}`), 204, passes},
	{"the previous successful run", "dag_a.t1@2", get("/task-instances/{dag_a.t1@2}/previous-successful-dagrun"), 200, passes},
	{"another's previous successful run", taskA, get("/task-instances/{dag_b.t1@2}/previous-successful-dagrun"), 403, denied},
	{"checking inlets and outlets", taskA, get("/task-instances/{dag_a.t1}/validate-inlets-and-outlets"), 200, passes},
	{"the first reschedule", taskA, get("/task-reschedules/{dag_a.t1}/start_date"), 200, passes},
	{"another's first reschedule", taskA, get("/task-reschedules/{dag_b.t1}/start_date"), 403, denied},
	{"a human's answer", taskA, get("/hitlDetails/{dag_a.t1}"), 404, passes},
	{"asking a human", taskA, post("/hitlDetails/{dag_a.t1}",
		`{"ti_id":"{dag_a.t1}","options":["yes","no"],"subject":"?","params":{}}`), 201, passes},
	{"asking a human for another task", taskA, post("/hitlDetails/{dag_b.t1}",
		`{"ti_id":"{dag_b.t1}","options":["yes"],"subject":"?","params":{}}`), 403, denied},
	{"a stored value", taskA, get("/store/ti/{dag_a.t1}/k"), 404, passes},
	{"storing a value", taskA, put("/store/ti/{dag_a.t1}/k/slash", `{"value":{"k":1}}`), 204, passes},
	{"storing a value for another task", taskA, put("/store/ti/{dag_b.t1}/k", `{"value":1}`), 403, denied},
	{"deleting what another task stored", taskA, del("/store/ti/{dag_b.t1}"), 403, denied},
}

// tokens: the fence answers to a bad one as Airflow does.
var tokens = []cell{
	{"no token", nobody, get("/variables/var_a"), 401, likewise},
	{"no token for a heartbeat", nobody, put("/task-instances/{dag_a.t1}/heartbeat", alive), 401, likewise},
	{"another scheme", "Basic as dag_a.t1", get("/variables/var_a"), 401, likewise},
	{"the scheme in lower case", "bearer as dag_a.t1", get("/variables/var_a"), 200, passes},
	{"an expired token", "expired", get("/variables/var_a"), 403, likewise},
	{"another audience", "other audience", get("/variables/var_a"), 403, likewise},
	{"another secret", "other secret", get("/variables/var_a"), 403, likewise},
	{"another algorithm", "other algorithm", get("/variables/var_a"), 403, likewise},
	{"a token that is none", "Bearer as no token", get("/variables/var_a"), 401, likewise},
	{"a scope that Airflow does not know", "other scope", get("/variables/var_a"), 403, refused(http.StatusForbidden)},
	{"no scope means execution", "no scope", get("/variables/var_a"), 200, passes},
	{"a subject in upper case", "upper case", get("/variables/var_a"), 200, passes},
	{"a subject that is no UUID", "no uuid", get("/variables/var_a"), 500, refused(http.StatusForbidden)},
}

// routes: what is public, what is not listed, and what the API version decides.
var routes = []cell{
	{"health", nobody, get("/health"), 200, passes},
	{"health of the services", nobody, get("/health/ping"), 200, passes},
	{"the documentation", nobody, get("/docs"), 200, denied},
	{"the other documentation", nobody, get("/redoc"), 200, denied},
	{"the changelog", nobody, get("/changelog"), 200, denied},
	{"an endpoint that is not listed", taskA, get("/no-such-endpoint"), 404, refused(http.StatusNotFound)},
	{"an endpoint that is not listed, without a token", nobody, get("/no-such-endpoint"), 404, refused(http.StatusNotFound)},
	{"another method", taskA, post("/variables/var_a", `{}`), 405, refused(http.StatusMethodNotAllowed)},
	{"HEAD of a variable", taskA, head("/variables/var_a"), 405, refused(http.StatusMethodNotAllowed)},
	{"writing a connection", taskA, put("/connections/conn_a", `{}`), 405, refused(http.StatusMethodNotAllowed)},
	{"a version before the first", taskA, get("/variables/var_a").under("2024-01-01"), 404, refused(http.StatusNotFound)},
	{"a version between two", taskA, get("/variables/var_a").under("2026-05-01"), 200, passes},
	{"a version between two for the other team", taskA, get("/variables/var_b").under("2026-05-01"), 404, denied},
	{"a version that is no date", taskA, get("/variables/var_a").under("latest"), 422, refused(http.StatusBadRequest)},
	{"an endpoint newer than the version", taskA, get("/dags/dag_a").under(oldSDK), 404, refused(http.StatusNotFound)},
	{"a path that is not the API's", nobody, get("^/"), 404, passes},
	{"a doubled slash before the mount", taskA, get("^//execution/variables/var_b"), 404, refused(http.StatusBadRequest)},
	{"a doubled slash behind the mount", taskA, get("//variables/var_b"), 404, refused(http.StatusBadRequest)},
	{"dots on the way to the mount", taskA, get("^/x/../execution/variables/var_b"), 404, refused(http.StatusBadRequest)},
}
