package route

// The API versions at which the table's routes came or went.
const (
	v20250411 = "2025-04-11" // 3.0.0
	v20250810 = "2025-08-10" // 3.0.4
	v20251105 = "2025-11-05" // 3.1
	v20260406 = "2026-04-06" // 3.2
	v20260630 = "2026-06-30" // 3.3
)

// table holds every endpoint of the Execution API, releases 3.0 to 3.3, in the
// order in which Airflow's routers try them
// (airflow/api_fastapi/execution_api/routes/__init__.py and the files beside it;
// the order is the same in all four). Release 3.0 takes one segment for
// {variable_key} and an XCom's {key}: a subset of what is matched here, with the
// same meaning.
var table = []Route{
	// Cadwyn's own, for requests without a version header (cadwyn/applications.py).
	{Method: "GET", Pattern: "/docs", Since: v20250411, Kind: Public, Action: Read},
	{Method: "HEAD", Pattern: "/docs", Since: v20250411, Kind: Public, Action: Read},
	{Method: "GET", Pattern: "/docs/oauth2-redirect", Since: v20250411, Kind: Public, Action: Read},
	{Method: "HEAD", Pattern: "/docs/oauth2-redirect", Since: v20250411, Kind: Public, Action: Read},
	{Method: "GET", Pattern: "/redoc", Since: v20250411, Kind: Public, Action: Read},
	{Method: "HEAD", Pattern: "/redoc", Since: v20250411, Kind: Public, Action: Read},
	{Method: "GET", Pattern: "/changelog", Since: v20250411, Kind: Public, Action: Read},
	{Method: "GET", Pattern: "/openapi.json", Since: v20250411, Kind: Public, Action: Read},
	{Method: "HEAD", Pattern: "/openapi.json", Since: v20250411, Kind: Public, Action: Read},

	{Method: "GET", Pattern: "/health", Since: v20250411, Kind: Public, Action: Read},
	{Method: "GET", Pattern: "/health/ping", Since: v20250411, Kind: Public, Action: Read},

	{Method: "GET", Pattern: "/assets/by-name", Query: "name", Since: v20250411, Kind: Asset, Action: Read},
	{Method: "GET", Pattern: "/assets/by-uri", Query: "uri", Since: v20250411, Kind: Asset, Action: Read},
	{Method: "GET", Pattern: "/assets/by-alias", Query: "alias_name", Since: v20260630, Kind: Asset, Action: Read},

	{Method: "GET", Pattern: "/asset-events/by-asset", Query: "after,ascending,before,limit,name,uri", Since: v20250411, Kind: Asset, Action: Read},
	{Method: "GET", Pattern: "/asset-events/by-asset-alias", Query: "after,ascending,before,limit,name", Since: v20250411, Kind: Asset, Action: Read},

	{Method: "GET", Pattern: "/connection-tests/{connection_test_id}/connection", Since: v20260630, Kind: Self, Action: Read, Workload: true, WorkloadOnly: true},
	{Method: "PATCH", Pattern: "/connection-tests/{connection_test_id}", Since: v20260630, Kind: Self, Action: Write, Workload: true, WorkloadOnly: true},

	{Method: "GET", Pattern: "/connections/{connection_id}", Since: v20250411, Kind: Connection, Action: Read},

	{Method: "GET", Pattern: "/dag-runs/{dag_id}/{run_id}", Since: v20260406, Kind: Dag, Action: Read},
	{Method: "POST", Pattern: "/dag-runs/{dag_id}/{run_id}", Since: v20250411, Kind: Dag, Action: Trigger},
	{Method: "POST", Pattern: "/dag-runs/{dag_id}/{run_id}/clear", Since: v20250411, Kind: Dag, Action: Clear},
	{Method: "GET", Pattern: "/dag-runs/{dag_id}/{run_id}/state", Since: v20250411, Kind: Dag, Action: Read},
	{Method: "GET", Pattern: "/dag-runs/count", Query: "dag_id,logical_dates*,run_ids*,states*", Since: v20250411, Kind: Dag, Action: Count},
	{Method: "GET", Pattern: "/dag-runs/previous", Query: "dag_id,logical_date,state", Since: v20260406, Kind: Dag, Action: Read},
	{Method: "GET", Pattern: "/dag-runs/{dag_id}/previous", Query: "logical_date,state", Since: v20250810, Until: v20251105, Kind: Dag, Action: Read},

	{Method: "GET", Pattern: "/dags/{dag_id}", Since: v20260406, Kind: Dag, Action: Read},

	{Method: "GET", Pattern: "/task-instances/count", Query: "dag_id,logical_dates*,map_index,run_ids*,states*,task_group_id,task_ids*", Since: v20250411, Kind: Dag, Action: Count},
	{Method: "GET", Pattern: "/task-instances/previous/{dag_id}/{task_id}", Query: "logical_date,map_index,state", Since: v20250411, Kind: Dag, Action: Read},
	{Method: "GET", Pattern: "/task-instances/states", Query: "dag_id,logical_dates*,map_index,run_ids*,task_group_id,task_ids*", Since: v20250411, Kind: Dag, Action: Count},
	{Method: "GET", Pattern: "/task-instances/breadcrumbs", Query: "dag_id,run_id", Since: v20250411, Kind: Dag, Action: Read},
	{Method: "PATCH", Pattern: "/task-instances/{task_instance_id}/run", Since: v20250411, Kind: Self, Action: Write, Workload: true},
	{Method: "PATCH", Pattern: "/task-instances/{task_instance_id}/state", Since: v20250411, Kind: Self, Action: Write},
	{Method: "PATCH", Pattern: "/task-instances/{task_instance_id}/skip-downstream", Since: v20250411, Kind: Self, Action: Write},
	{Method: "PUT", Pattern: "/task-instances/{task_instance_id}/heartbeat", Since: v20250411, Kind: Self, Action: Write},
	{Method: "PUT", Pattern: "/task-instances/{task_instance_id}/rtif", Since: v20250411, Kind: Self, Action: Write},
	{Method: "PATCH", Pattern: "/task-instances/{task_instance_id}/rendered-map-index", Since: v20250411, Kind: Self, Action: Write},
	{Method: "GET", Pattern: "/task-instances/{task_instance_id}/previous-successful-dagrun", Since: v20250411, Kind: Self, Action: Read},
	{Method: "GET", Pattern: "/task-instances/{task_instance_id}/validate-inlets-and-outlets", Since: v20250411, Kind: Self, Action: Read},

	{Method: "GET", Pattern: "/task-reschedules/{task_instance_id}/start_date", Since: v20250411, Kind: Self, Action: Read},

	// keys before {variable_key}, item and slice before the plain XCom.
	{Method: "GET", Pattern: "/variables/keys", Query: "limit,offset,prefix", Since: v20260630, Kind: Variable, Action: List},
	{Method: "GET", Pattern: "/variables/{variable_key:path}", Since: v20250411, Kind: Variable, Action: Read},
	{Method: "PUT", Pattern: "/variables/{variable_key:path}", Since: v20250411, Kind: Variable, Action: Write},
	{Method: "DELETE", Pattern: "/variables/{variable_key:path}", Since: v20250411, Kind: Variable, Action: Delete},

	{Method: "GET", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}/item/{offset}", Since: v20250411, Kind: XCom, Action: Read},
	{Method: "GET", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}/slice", Query: "include_prior_dates,start,step,stop", Since: v20250411, Kind: XCom, Action: Read},
	{Method: "HEAD", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}", Query: "map_index", Since: v20250411, Kind: XCom, Action: Count},
	{Method: "GET", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}", Query: "include_prior_dates,map_index,offset", Since: v20250411, Kind: XCom, Action: Read},
	{Method: "POST", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}", Query: "dag_result,map_index,mapped_length", Since: v20250411, Kind: XCom, Action: Write},
	{Method: "DELETE", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}", Query: "map_index", Since: v20250411, Kind: XCom, Action: Delete},

	{Method: "POST", Pattern: "/hitlDetails/{task_instance_id}", Since: v20250411, Kind: Self, Action: Write},
	{Method: "PATCH", Pattern: "/hitlDetails/{task_instance_id}", Since: v20250411, Kind: Self, Action: Write},
	{Method: "GET", Pattern: "/hitlDetails/{task_instance_id}", Since: v20250411, Kind: Self, Action: Read},

	{Method: "GET", Pattern: "/store/ti/{task_instance_id}/{key:path}", Since: v20260630, Kind: Self, Action: Read},
	{Method: "PUT", Pattern: "/store/ti/{task_instance_id}/{key:path}", Since: v20260630, Kind: Self, Action: Write},
	{Method: "DELETE", Pattern: "/store/ti/{task_instance_id}/{key:path}", Since: v20260630, Kind: Self, Action: Delete},
	{Method: "DELETE", Pattern: "/store/ti/{task_instance_id}", Since: v20260630, Kind: Self, Action: Delete},

	{Method: "GET", Pattern: "/store/asset/by-name/value", Query: "key,name", Since: v20260630, Kind: Asset, Action: Read},
	{Method: "PUT", Pattern: "/store/asset/by-name/value", Query: "key,name", Since: v20260630, Kind: Asset, Action: Write},
	{Method: "DELETE", Pattern: "/store/asset/by-name/value", Query: "key,name", Since: v20260630, Kind: Asset, Action: Delete},
	{Method: "DELETE", Pattern: "/store/asset/by-name/clear", Query: "name", Since: v20260630, Kind: Asset, Action: Delete},
	{Method: "GET", Pattern: "/store/asset/by-uri/value", Query: "key,uri", Since: v20260630, Kind: Asset, Action: Read},
	{Method: "PUT", Pattern: "/store/asset/by-uri/value", Query: "key,uri", Since: v20260630, Kind: Asset, Action: Write},
	{Method: "DELETE", Pattern: "/store/asset/by-uri/value", Query: "key,uri", Since: v20260630, Kind: Asset, Action: Delete},
	{Method: "DELETE", Pattern: "/store/asset/by-uri/clear", Query: "uri", Since: v20260630, Kind: Asset, Action: Delete},
}

// sections holds the table by the first segment of its patterns, in order.
var sections = func() map[string][]Route {
	bySection := make(map[string][]Route)
	for _, route := range table {
		route.pattern = compile(route.Pattern)
		route.params = parseParams(route.Query)
		route.versions = versionsBetween(route.Since, route.Until)
		first := section(route.Pattern)
		bySection[first] = append(bySection[first], route)
	}
	return bySection
}()

// Table lists every endpoint, in the order in which they are tried.
func Table() []Route { return append([]Route(nil), table...) }
