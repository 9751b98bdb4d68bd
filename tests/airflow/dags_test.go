package airflow_test

import "net/http"

// dags: dags, their runs and task instances are read within the team, and
// those of global dags by all.
var dags = []cell{
	{"the own dag", taskA, get("/dags/dag_a"), 200, passes},
	{"another dag of the team", taskA, get("/dags/dag_a2"), 200, passes},
	{"a global dag", taskA, get("/dags/dag_g"), 200, passes},
	{"the other team's dag", taskA, get("/dags/dag_b"), 200, denied},
	{"an unknown dag", taskA, get("/dags/no_dag"), 404, unknown},
	{"a team's dag for a teamless task", taskG, get("/dags/dag_a"), 200, denied},
	{"a global dag for an unknown task", nowhere, get("/dags/dag_g"), 200, denied},

	{"a run of the own dag", taskA, get("/dag-runs/dag_a/{run1}"), 200, passes},
	{"a run of a global dag", taskA, get("/dag-runs/dag_g/{run1}"), 200, passes},
	{"a run of the other team's dag", taskA, get("/dag-runs/dag_b/{run1}"), 200, denied},
	{"a run that does not exist", taskA, get("/dag-runs/dag_a/no_run"), 404, passes},
	{"a run of an unknown dag", taskA, get("/dag-runs/no_dag/{run1}"), 404, unknown},
	{"a run's state", taskA, get("/dag-runs/dag_a2/{run1}/state"), 200, passes},
	{"the state of a run of the other team", taskA, get("/dag-runs/dag_b/{run1}/state"), 200, denied},
	{"the state of a team's run for a teamless task", taskG, get("/dag-runs/dag_a/{run1}/state"), 200, denied},
	{"the state of a team's run for an attempt up for retry", retried, get("/dag-runs/dag_a/{run1}/state"), 200, passes},
	{"the state of an unknown dag's run", taskA, get("/dag-runs/no_dag/{run1}/state"), 404, unknown},
	{"the count of runs", taskA, get("/dag-runs/count?dag_id=dag_a&run_ids={run1}&run_ids=x&states=success"), 200, passes},
	{"the count of the other team's runs", taskA, get("/dag-runs/count?dag_id=dag_b"), 200, denied},
	{"the count of an unknown dag's runs", taskA, get("/dag-runs/count?dag_id=no_dag"), 200, passes},
	{"the count of two dags' runs", taskA, get("/dag-runs/count?dag_id=dag_a&dag_id=dag_b"), 200, refused(http.StatusBadRequest)},
	{"the count of two dags' runs, one encoded", taskA, get("/dag-runs/count?dag_id=dag_a&dag%5Fid=dag_b"), 200, refused(http.StatusBadRequest)},
	{"the count of no dag's runs", taskA, get("/dag-runs/count"), 422, refused(http.StatusBadRequest)},
	{"the previous run", taskA, get("/dag-runs/previous?dag_id=dag_a&logical_date=2026-01-02T00:00:00Z&state=success"), 200, passes},
	{"the other team's previous run", taskA, get("/dag-runs/previous?dag_id=dag_b&logical_date=2026-01-02T00:00:00Z"), 200, denied},
	{"an unknown dag's previous run", taskA, get("/dag-runs/previous?dag_id=no_dag&logical_date=2026-01-02T00:00:00Z"), 200, unknown},
	{"the previous run for an old SDK", taskA, get("/dag-runs/dag_a/previous?logical_date=2026-01-02T00:00:00Z").under(oldSDK), 200, passes},
	{"the other team's previous run for an old SDK", taskA, get("/dag-runs/dag_b/previous?logical_date=2026-01-02T00:00:00Z").under(oldSDK), 200, denied},
	{"a run named previous", taskA, get("/dag-runs/dag_a/previous?logical_date=2026-01-02T00:00:00Z"), 404, passes},
	{"a run named previous of the other team", taskA, get("/dag-runs/dag_b/previous?logical_date=2026-01-02T00:00:00Z"), 404, denied},

	{"the count of task instances", taskA, get("/task-instances/count?dag_id=dag_a&task_ids=t1&task_ids=t2"), 200, passes},
	{"the count of the other team's task instances", taskA, get("/task-instances/count?dag_id=dag_b"), 200, denied},
	{"the count of a global dag's task instances", taskA, get("/task-instances/count?dag_id=dag_g&map_index=0"), 200, passes},
	{"the count of an unknown dag's task instances", taskA, get("/task-instances/count?dag_id=no_dag"), 200, passes},
	{"task states", taskA, get("/task-instances/states?dag_id=dag_a2&run_ids={run1}"), 200, passes},
	{"the other team's task states", taskA, get("/task-instances/states?dag_id=dag_b"), 200, denied},
	{"an unknown dag's task states", taskA, get("/task-instances/states?dag_id=no_dag"), 200, passes},
	{"a team's task states for a teamless task", taskG, get("/task-instances/states?dag_id=dag_b"), 200, denied},
	{"the previous task instance", taskA, get("/task-instances/previous/dag_a/t1?logical_date=2026-01-02T00:00:00Z"), 200, passes},
	{"the other team's previous task instance", taskA, get("/task-instances/previous/dag_b/t1"), 200, denied},
	{"breadcrumbs", taskA, get("/task-instances/breadcrumbs?dag_id=dag_a&run_id={run1}"), 200, passes},
	{"the other team's breadcrumbs", taskA, get("/task-instances/breadcrumbs?dag_id=dag_b&run_id={run1}"), 200, denied},
	{"breadcrumbs of a global dag", taskA, get("/task-instances/breadcrumbs?dag_id=dag_g&run_id={run1}"), 200, passes},
}

// granted: what the ownership file grants team_a of team_b's. XComs can't be.
var granted = []cell{
	{"a granted dag", taskA, get("/dags/shared_b"), 200, passes},
	{"a run of a granted dag", taskA, get("/dag-runs/shared_b/{run1}"), 200, passes},
	{"the state of a granted dag's run", taskA, get("/dag-runs/shared_b/{run1}/state"), 200, passes},
	{"the count of a granted dag's runs", taskA, get("/dag-runs/count?dag_id=shared_b"), 200, passes},
	{"a granted dag's task states", taskA, get("/task-instances/states?dag_id=shared_b"), 200, passes},
	{"a dag that may be triggered", taskA, get("/dag-runs/triggered_b/{run1}/state"), 200, passes},
	{"a dag granted to a team, for a teamless task", taskG, get("/dag-runs/shared_b/{run1}/state"), 200, denied},
	{"a dag granted to a team, for an unknown task", nowhere, get("/dag-runs/shared_b/{run1}/state"), 200, denied},
	{"a granted dag for its owner", taskB, get("/dag-runs/shared_b/{run1}/state"), 200, passes},
	{"an XCom of a granted dag", taskA, get("/xcoms/shared_b/{run1}/t1/return_value"), 403, denied},
	{"a granted asset by name", taskA, get("/assets/by-name?name=asset_shared"), 200, passes},
	{"a granted asset by URI", taskA, get("/assets/by-uri?uri=s3://bucket/asset_shared"), 200, passes},
	{"a granted asset's events", taskA, get("/asset-events/by-asset?name=asset_shared&uri=s3://bucket/asset_shared"), 200, passes},
	{"an asset granted to a team, for a teamless task", taskG, get("/assets/by-name?name=asset_shared"), 200, denied},
	{"storing a value of a granted asset", taskA, put("/store/asset/by-name/value?name=asset_shared&key=k", `{"value":"v"}`), 204, denied},
	{"triggering a dag that may be read", taskA, post("/dag-runs/shared_b/new", `{}`), 204, denied},
	{"clearing a run of a dag that may be read", taskA, post("/dag-runs/shared_b/{run2}/clear", ""), 204, denied},
	{"triggering a dag that may be triggered", taskA, post("/dag-runs/triggered_b/new", `{}`), 204, passes},
	{"clearing a run of a dag that may be triggered", taskA, post("/dag-runs/triggered_b/{run2}/clear", ""), 204, passes},
	{"triggering it from a teamless task", taskG, post("/dag-runs/triggered_b/new_by_g", `{}`), 204, denied},
	{"writing an XCom of a granted dag", taskA, post("/xcoms/triggered_b/{run1}/t1/x_put", `"forged"`), 403, denied},
}

// dagWrites: runs are triggered and cleared where they may be read.
var dagWrites = []cell{
	{"triggering the own dag", taskA, post("/dag-runs/dag_a/new", `{"conf":{"k":"v"}}`), 204, passes},
	{"triggering another dag of the team", taskA, post("/dag-runs/dag_a2/new", `{"logical_date":"2026-02-01T00:00:00Z"}`), 204, passes},
	{"triggering a global dag", taskA, post("/dag-runs/dag_g/new", `{}`), 204, passes},
	{"triggering a run that exists", taskA, post("/dag-runs/dag_a/{run1}", `{}`), 409, passes},
	{"triggering the other team's dag", taskA, post("/dag-runs/dag_b/new", `{}`), 204, denied},
	{"triggering an unknown dag", taskA, post("/dag-runs/no_dag/new", `{}`), 404, unknown},
	{"triggering a team's dag from a teamless task", taskG, post("/dag-runs/dag_a/new_by_g", `{}`), 204, denied},
	{"triggering from an unknown task", nowhere, post("/dag-runs/dag_g/new_by_unknown", `{}`), 204, denied},
	{"clearing a run of another dag of the team", taskA, post("/dag-runs/dag_a2/{run2}/clear", ""), 204, passes},
	{"clearing a run of a global dag", taskA, post("/dag-runs/dag_g/{run2}/clear", ""), 204, passes},
	{"clearing a run of the other team", taskA, post("/dag-runs/dag_b/{run2}/clear", ""), 204, denied},
	{"clearing a run of an unknown dag", taskA, post("/dag-runs/no_dag/{run2}/clear", ""), 404, unknown},
	{"clearing a team's run from a teamless task", taskG, post("/dag-runs/dag_a/{run2}/clear", ""), 204, denied},
}

// assets: nobody owns one without an ownership file.
var assets = []cell{
	{"an asset by name", taskA, get("/assets/by-name?name=asset"), 200, passes},
	{"an asset by URI", taskB, get("/assets/by-uri?uri=s3%3A%2F%2Fbucket%2Fasset"), 200, passes},
	{"assets by alias", taskA, get("/assets/by-alias?alias_name=alias"), 200, passes},
	{"an asset that does not exist", taskA, get("/assets/by-name?name=no_such"), 404, passes},
	{"an asset by two names", taskA, get("/assets/by-name?name=asset&name=other"), 404, refused(http.StatusBadRequest)},
	{"an asset for a teamless task", taskG, get("/assets/by-name?name=asset"), 200, passes},
	{"an asset for an unknown task", nowhere, get("/assets/by-name?name=asset"), 200, denied},
	{"an asset's events", taskA, get("/asset-events/by-asset?name=asset&uri=s3://bucket/asset"), 200, passes},
	{"an alias's events", taskA, get("/asset-events/by-asset-alias?name=alias"), 200, passes},
	{"an asset's stored value", taskA, get("/store/asset/by-name/value?name=asset&key=k"), 404, passes},
	{"storing a value of an asset", taskA, put("/store/asset/by-name/value?name=asset&key=k", `{"value":"v"}`), 204, passes},
	{"deleting the stored values of an asset", taskA, del("/store/asset/by-uri/clear?uri=s3://bucket/asset"), 204, passes},
}
