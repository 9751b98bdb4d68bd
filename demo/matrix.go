package demo

import (
	"slices"
	"strings"
)

// A cell is one row of the access matrix: who sends which request, the wanted result,
// and why.
type cell struct {
	who string
	request
	want verdict
	why  string
}

// matrix returns every cell, in the order of sending. If a cell depends on the writes
// of an earlier one, its why says so.
func matrix() []cell {
	return slices.Concat(examples, variableCells, connectionCells, xcomCells, xcomWriteCells, dagCells, dagWriteCells, grantedCells,
		ownCells, tokenCells, routeCells, oddCells)
}

// examples are the cells that the demo prints, as lines for a shell.
var examples = []cell{
	{teamA, get("/variables/var_a"), passes(200), "own team"},
	{teamA, get("/variables/var_b"), refused(403), "another team"},
	{teamA, put("/variables/var_b", `{"val":"taken"}`), refused(403), "another team; Airflow itself would overwrite it"},
	{teamA, get("/variables/global_var"), passes(200), "global"},
	{teamA, get("/variables/no_such"), passes(404), "not stored, but another secrets backend may have it"},
	{teamA, put("/variables/new", `{"val":"mine"}`), passes(201), "new: it belongs to the team of the task that writes it"},
	{teamB, get("/variables/new"), refused(403), "another team, as soon as team_a has written it"},
	{teamA, get("/connections/conn_b"), refused(403), "another team"},
	{teamA, get("/xcoms/dag_b/run_1/t1/return_value"), refused(403), "dag of another team"},
	{teamA, post("/xcoms/dag_a/run_1/t1/mine", `"hello"`), passes(201), "own XCom"},
	{teamA, post("/xcoms/dag_a/run_1/t2/return_value", `"forged"`), refused(403), "XCom of another task"},
	{mappedA, post("/xcoms/dag_a/run_1/mapped/mine?map_index=1", `1`), passes(201), "own map index"},
	{mappedA, post("/xcoms/dag_a/run_1/mapped/mine?map_index=2", `2`), refused(403), "another map index"},
	{teamA, post("/dag-runs/dag_b/run_2", `{}`), refused(403), "dag of another team"},
	{teamA, put("/task-instances/"+idA+"/heartbeat", alive), passes(204), "own heartbeat, needs no lookup"},
	{teamless, get("/variables/var_a"), refused(403), "a task without a team"},
	{unknown, get("/variables/global_var"), refused(403), "no such task"},
	{expired, get("/variables/var_a"), refused(403), "expired token"},
	{noToken, get("/variables/var_a"), refused(401), "no token"},
	{teamA, get("/no-such-endpoint"), refused(404), "not in the table of routes"},
}

var variableCells = []cell{
	{teamA, get("/variables/a/b"), passes(200), "own team, with a slash"},
	{teamA, get("/variables/b/c"), refused(403), "another team, with a slash"},
	{teamB, get("/variables/var_b"), passes(200), "own team"},
	{teamB, get("/variables/var_a"), refused(403), "another team"},
	{teamless, get("/variables/global_var"), passes(200), "global"},
	{teamless, get("/variables/no_such"), passes(404), "not stored"},
	{retriedA, get("/variables/var_a"), passes(200), "own team, from the history of attempts"},
	{retriedA, get("/variables/var_b"), refused(403), "another team"},
	{unknown, get("/variables/var_a"), refused(403), "no such task"},
	{teamA, get("/variables/_TEAM_B___SECRET"), refused(403), "environment of a team"},
	{teamA, get("/variables/keys"), passes(200), "list, upstream filters it by team"},
	{teamless, get("/variables/keys"), refused(403), "list, upstream filters it by no team"},
	{retriedA, get("/variables/keys"), refused(403), "list, upstream filters it by nothing for an attempt of the past"},
	{leavingA, get("/variables/keys"), passes(403), "list, dropped: the attempt was of the past by the time it came"},
	{leavingA, get("/variables/keys?limit=1"), refused(403), "list, for an attempt of the past since then"},
	{unknown, get("/variables/keys"), refused(403), "no such task"},
	{teamless, get("/variables/keys").with("Airflow-API-Version: 2025-11-05"), passes(200), "variable of that name, in older versions"},

	{teamA, put("/variables/var_a", `{"val":"new"}`), passes(201), "own team"},
	{teamA, put("/variables/global_put", `{"val":"new"}`), passes(201), "global"},
	{teamA, put("/variables/_TEAM_B___SECRET", `{"val":"x"}`), refused(403), "environment of a team"},
	{teamA, put("/variables/raced", `{"val":"taken"}`).after(teamB, put("/variables/raced", `{"val":"new"}`)), refused(403), "another team has made it before the last byte"},
	{teamB, get("/variables/raced"), passes(200), "own team, made just now"},
	{teamA, put("/variables/raced_own", `{"val":"mine"}`).after(teamA, put("/variables/raced_own", `{"val":"new"}`)), passes(201), "own team has made it before the last byte"},
	{teamless, put("/variables/var_a", `{"val":"taken"}`), refused(403), "a task without a team"},
	{teamless, put("/variables/new_global", `{"val":"new"}`), passes(201), "new, becomes global"},
	{unknown, put("/variables/global_put", `{"val":"taken"}`), refused(403), "no such task"},
	{teamA, del("/variables/a_delete"), passes(204), "own team"},
	{teamA, get("/variables/a_delete"), passes(404), "deleted just now"},
	{teamA, del("/variables/var_b"), refused(403), "another team"},
	{teamA, del("/variables/global_delete"), passes(204), "global"},
	{teamA, del("/variables/no_such"), passes(204), "not stored"},
	{teamless, del("/variables/a_keep"), refused(403), "a task without a team"},
	{unknown, del("/variables/global_put"), refused(403), "no such task"},
}

var connectionCells = []cell{
	{teamA, get("/connections/conn_a"), passes(200), "own team"},
	{teamA, get("/connections/global_conn"), passes(200), "global"},
	{teamA, get("/connections/no_such"), passes(404), "not stored"},
	{teamA, get("/connections/_TEAM_B___DB"), refused(403), "environment of a team"},
	{teamB, get("/connections/conn_a"), refused(403), "another team"},
	{teamless, get("/connections/conn_a"), refused(403), "a task without a team"},
	{teamless, get("/connections/global_conn"), passes(200), "global"},
	{unknown, get("/connections/global_conn"), refused(403), "no such task"},
}

var xcomCells = []cell{
	{teamA, get("/xcoms/dag_a/run_1/t1/return_value"), passes(200), "own XCom"},
	{teamA, get("/xcoms/dag_a/run_1/t2/return_value"), passes(200), "another task of the dag"},
	{teamA, get("/xcoms/dag_a/run_1/mapped/return_value?map_index=2"), passes(200), "another map index of the dag"},
	{teamA, get("/xcoms/dag_a2/run_1/t1/return_value"), passes(200), "another dag of the team"},
	{teamA, get("/xcoms/dag_g/run_1/t1/return_value"), passes(200), "global dag"},
	{teamA, get("/xcoms/dag_a/run_1/t1/no_such"), passes(404), "not stored"},
	{teamA, get("/xcoms/no_dag/run_1/t1/return_value"), refused(404), "no such dag"},
	{teamA, get("/xcoms/dag_b/run_1/t1/return_value/item/0"), refused(403), "dag of another team"},
	{teamA, get("/xcoms/dag_b/run_1/t1/return_value/slice?start=0"), refused(403), "dag of another team"},
	{teamA, head("/xcoms/dag_a/run_1/mapped/return_value"), passes(200), "count, own dag"},
	{teamA, head("/xcoms/dag_b/run_1/t1/return_value"), refused(403), "count, dag of another team"},
	{teamB, get("/xcoms/dag_a/run_1/t1/return_value"), refused(403), "dag of another team"},
	{teamless, get("/xcoms/dag_g/run_1/t1/return_value"), passes(200), "own XCom"},
	{teamless, get("/xcoms/dag_a/run_1/t1/return_value"), refused(403), "a task without a team"},
	{unknown, get("/xcoms/dag_g/run_1/t1/return_value"), refused(403), "no such task"},
}

var xcomWriteCells = []cell{
	{teamA, post("/xcoms/dag_a/run_2/t1/return_value", `"forged"`), refused(403), "XCom of another run"},
	{teamA, post("/xcoms/dag_a2/run_1/t1/return_value", `"forged"`), refused(403), "XCom of another dag"},
	{teamA, post("/xcoms/dag_b/run_1/t1/return_value", `"forged"`), refused(403), "dag of another team"},
	{teamA, post("/xcoms/dag_g/run_1/t1/return_value", `"forged"`), refused(403), "global dag"},
	{teamA, post("/xcoms/dag_a/run_1/t1/return_value?map_index=0", `"forged"`), refused(403), "another map index"},
	{teamless, post("/xcoms/dag_g/run_1/t1/mine", `"hello"`), passes(201), "own XCom"},
	{teamless, post("/xcoms/dag_a/run_1/t1/return_value", `"forged"`), refused(403), "XCom of another task"},
	{retriedA, post("/xcoms/dag_a/run_1/retry/mine", `1`), passes(201), "own XCom, from the history of attempts"},
	{unknown, post("/xcoms/dag_g/run_1/t1/return_value", `"forged"`), refused(403), "no such task"},
	{teamA, del("/xcoms/dag_a/run_1/t1/to_delete"), passes(200), "own XCom"},
	{teamA, del("/xcoms/dag_a/run_1/t2/return_value"), refused(403), "XCom of another task"},
	{teamA, del("/xcoms/dag_b/run_1/t1/return_value"), refused(403), "dag of another team"},
	{mappedA, del("/xcoms/dag_a/run_1/mapped/return_value?map_index=2"), refused(403), "another map index"},
	{mappedA, del("/xcoms/dag_a/run_1/mapped/return_value"), refused(403), "no map index, from a mapped task"},
	{mappedA, del("/xcoms/dag_a/run_1/mapped/mine").with("Airflow-API-Version: 2025-08-10"), passes(200), "no map index, as the SDK of Airflow 3.0 deletes"},
}

var dagCells = []cell{
	{teamA, get("/dags/dag_a"), passes(200), "own dag"},
	{teamA, get("/dags/dag_a2"), passes(200), "own team"},
	{teamA, get("/dags/dag_g"), passes(200), "global dag"},
	{teamA, get("/dags/dag_b"), refused(403), "dag of another team"},
	{teamA, get("/dags/no_dag"), refused(404), "no such dag"},
	{teamless, get("/dags/dag_a"), refused(403), "a task without a team"},
	{unknown, get("/dags/dag_g"), refused(403), "no such task"},
	{teamA, get("/dag-runs/dag_a/run_1/state"), passes(200), "own dag"},
	{teamA, get("/dag-runs/dag_g/run_1/state"), passes(200), "global dag"},
	{teamA, get("/dag-runs/dag_b/run_1/state"), refused(403), "dag of another team"},
	{teamA, get("/dag-runs/dag_a/no_run/state"), passes(404), "not stored"},
	{teamA, get("/dag-runs/count?dag_id=dag_a"), passes(200), "count, own dag"},
	{teamA, get("/dag-runs/count?dag_id=dag_b"), refused(403), "count, dag of another team"},
	{teamA, get("/dag-runs/count?dag_id=no_dag"), passes(200), "count, no such dag yet: a sensor may poke first"},
	{teamA, get("/dag-runs/previous?dag_id=dag_b&logical_date=2026-01-01T00:00:00Z"), refused(403), "dag of another team"},
	{teamA, get("/task-instances/count?dag_id=dag_a&states=running&states=success"), passes(200), "own dag, a list given twice"},
	{teamA, get("/task-instances/states?dag_id=dag_b"), refused(403), "dag of another team"},
}

var dagWriteCells = []cell{
	{teamA, post("/dag-runs/dag_a/run_2", `{}`), passes(204), "own dag"},
	{teamA, post("/dag-runs/dag_a/run_1", `{}`), passes(409), "own dag, run exists"},
	{teamA, post("/dag-runs/dag_g/run_2", `{}`), passes(204), "global dag"},
	{teamA, post("/dag-runs/no_dag/run_2", `{}`), refused(404), "no such dag"},
	{teamless, post("/dag-runs/dag_a/run_3", `{}`), refused(403), "a task without a team"},
	{unknown, post("/dag-runs/dag_g/run_3", `{}`), refused(403), "no such task"},
	{teamA, post("/dag-runs/dag_a2/run_1/clear", ""), passes(204), "own team"},
	{teamA, post("/dag-runs/dag_b/run_1/clear", ""), refused(403), "dag of another team"},
}

// grantedCells are about what team_b grants team_a.
var grantedCells = []cell{
	{teamA, get("/dag-runs/shared_b/run_1/state"), passes(200), "granted"},
	{teamA, get("/dag-runs/count?dag_id=shared_b"), passes(200), "count, granted"},
	{teamless, get("/dag-runs/shared_b/run_1/state"), refused(403), "granted to another team"},
	{teamA, post("/dag-runs/shared_b/run_2", `{}`), refused(403), "granted to read, not to trigger"},
	{teamA, get("/xcoms/shared_b/run_1/t1/return_value"), refused(403), "XComs are not granted"},
	{teamA, get("/dag-runs/triggered_b/run_1/state"), passes(200), "granted, with trigger"},
	{teamA, post("/dag-runs/triggered_b/run_2", `{}`), passes(204), "granted"},
	{teamA, post("/dag-runs/triggered_b/run_1/clear", ""), passes(204), "granted"},
	{teamless, post("/dag-runs/triggered_b/run_3", `{}`), refused(403), "granted to another team"},
	{teamA, get("/assets/by-name?name=stock"), refused(403), "asset of another team"},
	{teamB, get("/assets/by-name?name=stock"), passes(200), "own team"},
	{teamA, get("/assets/by-name?name=deliveries"), passes(200), "granted"},
}

const alive = `{"hostname":"worker","pid":100}`

var ownCells = []cell{
	{teamA, put("/task-instances/"+idB+"/heartbeat", alive), refused(403), "another task"},
	{teamless, put("/task-instances/"+idG+"/heartbeat", alive), passes(204), "own heartbeat"},
	{retriedA, put("/task-instances/"+idRetryA+"/heartbeat", alive), passes(410), "own, gone: upstream says so"},
	{unknown, put("/task-instances/"+idUnknown+"/heartbeat", alive), passes(404), "own, unknown: upstream says so"},
	{teamA, patch("/task-instances/"+idB+"/state", `{"state":"success"}`), refused(403), "another task"},
	{teamA, put("/store/ti/"+idA+"/k/slash", `{"value":1}`), passes(204), "own store"},
	{teamA, del("/store/ti/" + idB), refused(403), "another task"},
	{workload, patch("/task-instances/"+idA+"/run", `{"state":"running"}`), passes(204), "scope workload may start its task"},
	{workload, patch("/task-instances/"+idB+"/run", `{"state":"running"}`), refused(403), "another task"},
	{workload, get("/variables/var_a"), refused(403), "scope workload may do nothing else"},
	{teamA, get("/connection-tests/" + idA + "/connection"), refused(403), "scope workload only"},
	{teamA, get("/assets/by-name?name=orders"), passes(200), "global"},
	{unknown, get("/assets/by-name?name=orders"), refused(403), "no such task"},
}

var tokenCells = []cell{
	{noToken, put("/task-instances/"+idA+"/heartbeat", alive), refused(401), "no token"},
	{noToken, get("/variables/var_a").with("Authorization: Basic dXNlcjpwYXNz"), refused(401), "another scheme"},
	{expired, put("/task-instances/"+idA+"/heartbeat", alive), refused(403), "expired token"},
	{forged, get("/variables/var_a"), refused(403), "signed with another secret"},
	{garbage, get("/variables/var_a"), refused(403), "not a token"},
	{teamA, get("/variables/var_a").with("Authorization: Basic dXNlcjpwYXNz"), refused(400), "two Authorization headers"},
	{teamA, get("/variables/var_a").with("Connection: Authorization"), refused(400), "a proxy would strip the token"},
	{noToken, get("/health"), passes(200), "public"},
	{noToken, get("/health/ping"), passes(200), "public"},
}

var routeCells = []cell{
	{noToken, get("/no-such-endpoint"), refused(404), "not in the table of routes"},
	{teamA, post("/variables/var_a", `{}`), refused(405), "another method"},
	{teamA, head("/variables/var_a"), refused(405), "another method"},
	{teamA, put("/connections/conn_a", `{}`), refused(405), "another method"},
	{teamA, get("/dags/dag_a").with("Airflow-API-Version: 2025-11-05"), refused(404), "not in that version"},
	{teamA, get("/variables/var_a").with("Airflow-API-Version: 2026-05-01"), passes(200), "between two versions"},
	{teamA, get("/variables/var_b").with("Airflow-API-Version: 2026-05-01"), refused(403), "another team"},
	{teamA, get("/variables/var_a").with("Airflow-API-Version: latest"), refused(400), "not a version"},
	{noToken, raw("/api/v2/version"), passes(404), "not below the mount: passed through"},
}

// oddCells are requests that two parsers could read differently.
var oddCells = []cell{
	{teamA, get("/variables/a%2Fb"), passes(200), "own team, slash encoded"},
	{teamA, get("/variables/b%2Fc"), refused(403), "another team, slash encoded"},
	{teamA, get("/variables/%76ar%5Fb"), refused(403), "another team, letters encoded"},
	{teamA, get("/variables/b%252Fc"), passes(404), "decoded once, so another name"},
	{teamA, get("//variables/var_b"), refused(400), "doubled slash"},
	{teamA, raw("//execution/variables/var_b"), refused(400), "doubled slash"},
	{teamA, raw("/x/../execution/variables/var_b"), refused(400), "dots"},
	{teamA, get("/connections/../variables/var_b"), refused(400), "dots"},
	{teamA, get("/connections/%2e%2e/variables/var_b"), refused(400), "dots encoded"},
	{teamA, get("/variables/var_b%0A"), refused(400), "line end"},
	{teamA, raw("/airflow/execution/variables/var_b"), refused(404), "below another mount"},
	{teamA, raw("/airflow/execution//variables/var_b%0A"), refused(400), "below another mount, once Starlette has tidied it"},
	{teamA, raw("/ui/execution%2f%2fdag-runs/dag_b/run_1/state%0A"), refused(400), "below the mount, once a proxy has stripped /ui"},
	{noToken, raw("/ui/dags/execution/dagRuns/execution/stats"), passes(404), "a dag of that name: passed through"},
	{noToken, get("/health").with("Trailer: Connection"), refused(400), "trailers, behind which uvicorn may swallow the next request"},
	{noToken, get("/health").with("Trailer: Connection").with("Transfer-Encoding: chunked"), refused(400), "trailers behind chunks"},
	{noToken, raw("/api/v2/version").with("Trailer: Proxy-Connection").with("Transfer-Encoding: chunked"), refused(400), "trailers, not below the mount"},
	{teamA, get("/variables/var_b%FF"), refused(400), "not UTF-8"},
	{teamA, get("/variables/var_a#"), refused(400), "fragment"},
	{teamA, raw("http://127.0.0.1/execution/variables/var_a"), refused(400), "not a path"},
	{teamA, get("/dag-runs/count?dag_id=dag_a&dag_id=dag_b"), refused(400), "parameter given twice"},
	{teamA, get("/dag-runs/count?dag_id=dag_a&dag%5Fid=dag_b"), refused(400), "parameter given twice, encoded"},
	{teamA, post("/xcoms/dag_a/run_1/t1/return_value?map_index=-1&map_index=0", `1`), refused(400), "parameter given twice"},
	{mappedA, post("/xcoms/dag_a/run_1/mapped/mine?map_index=01", `1`), refused(400), "integer in two forms"},
	{teamA, get("/variables/" + strings.Repeat("a", 9000)), refused(414), "its path than 8 KiB"},
}
