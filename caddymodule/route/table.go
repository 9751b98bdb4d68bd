package route

// table holds every endpoint of the Execution API, releases 3.0 to 3.3 and
// 3.4.0b2, in the order in which Airflow's routers try them
// (airflow/api_fastapi/execution_api/routes/__init__.py and the files beside it).
// Some releases take one segment where a parameter takes slashes here: 3.0 for
// {variable_key} and an XCom's {key}, 3.3.0 for the store's, all before 3.4 for
// {connection_id}. That is a subset of what is matched here, with the same
// meaning. docs/adding-an-airflow-version.md says how to add a row.
var table = []Route{
	// Cadwyn's own, for requests without a version header (cadwyn/applications.py).
	{Method: "GET", Pattern: "/docs", Since: "2025-04-11", Kind: Documentation, Action: Read},
	{Method: "HEAD", Pattern: "/docs", Since: "2025-04-11", Kind: Documentation, Action: Read},
	{Method: "GET", Pattern: "/docs/oauth2-redirect", Since: "2025-04-11", Kind: Documentation, Action: Read},
	{Method: "HEAD", Pattern: "/docs/oauth2-redirect", Since: "2025-04-11", Kind: Documentation, Action: Read},
	{Method: "GET", Pattern: "/redoc", Since: "2025-04-11", Kind: Documentation, Action: Read},
	{Method: "HEAD", Pattern: "/redoc", Since: "2025-04-11", Kind: Documentation, Action: Read},
	{Method: "GET", Pattern: "/changelog", Since: "2025-04-11", Kind: Documentation, Action: Read},
	{Method: "GET", Pattern: "/openapi.json", Since: "2025-04-11", Kind: Documentation, Action: Read},
	{Method: "HEAD", Pattern: "/openapi.json", Since: "2025-04-11", Kind: Documentation, Action: Read},

	{Method: "GET", Pattern: "/health", Since: "2025-04-11", Kind: Public, Action: Read},
	{Method: "GET", Pattern: "/health/ping", Since: "2025-04-11", Kind: Public, Action: Read},

	{Method: "GET", Pattern: "/assets/by-name", Query: "name", Since: "2025-04-11", Kind: Asset, Action: Read},
	{Method: "GET", Pattern: "/assets/by-uri", Query: "uri", Since: "2025-04-11", Kind: Asset, Action: Read},
	{Method: "GET", Pattern: "/assets/by-alias", Query: "alias_name", Alias: "alias_name", Since: "2026-06-30", Kind: Asset, Action: Read},

	{Method: "GET", Pattern: "/asset-events/by-asset", Query: "after,ascending,before,extra:list,limit:int,name,partition_key,partition_key_regexp_pattern,uri", Since: "2025-04-11", Kind: Asset, Action: Read},
	{Method: "GET", Pattern: "/asset-events/by-asset-alias", Query: "after,ascending,before,extra:list,limit:int,name,partition_key,partition_key_regexp_pattern", Alias: "name", Since: "2025-04-11", Kind: Asset, Action: Read},

	{Method: "GET", Pattern: "/connection-tests/{connection_test_id}/connection", Since: "2026-06-30", Kind: Self, Action: Read, Scopes: "workload"},
	{Method: "PATCH", Pattern: "/connection-tests/{connection_test_id}", Since: "2026-06-30", Kind: Self, Action: Write, Scopes: "workload"},

	{Method: "GET", Pattern: "/connections/{connection_id:path}", Since: "2025-04-11", Kind: Connection, Action: Read},

	{Method: "PATCH", Pattern: "/callbacks/{callback_id}/run", Since: "2026-10-30", Scopes: "callback", Kind: Self, Action: Write},

	{Method: "GET", Pattern: "/dag-runs/{dag_id}/{run_id}", Since: "2026-04-06", Kind: Dag, Action: Read},
	{Method: "GET", Pattern: "/dag-runs/{dag_id}/previous", Query: "logical_date,state", Since: "2025-08-10", Until: "2025-11-05", Kind: Dag, Action: Read},
	{Method: "POST", Pattern: "/dag-runs/{dag_id}/{run_id}", Since: "2025-04-11", Kind: Dag, Action: Trigger},
	{Method: "POST", Pattern: "/dag-runs/{dag_id}/{run_id}/clear", Since: "2025-04-11", Kind: Dag, Action: Clear},
	{Method: "GET", Pattern: "/dag-runs/{dag_id}/{run_id}/state", Since: "2025-04-11", Kind: Dag, Action: Read},
	{Method: "GET", Pattern: "/dag-runs/count", Query: "dag_id,logical_dates:list,run_ids:list,states:list", Since: "2025-04-11", Kind: Dag, Action: Count},
	{Method: "GET", Pattern: "/dag-runs/previous", Query: "dag_id,logical_date,state", Since: "2026-04-06", Kind: Dag, Action: Read},

	{Method: "GET", Pattern: "/dags/{dag_id}", Since: "2026-04-06", Kind: Dag, Action: Read},

	{Method: "GET", Pattern: "/task-instances/count", Query: "dag_id,logical_dates:list,map_index:int,run_ids:list,states:list,task_group_id,task_ids:list", Since: "2025-04-11", Kind: Dag, Action: Count},
	{Method: "GET", Pattern: "/task-instances/previous/{dag_id}/{task_id}", Query: "logical_date,map_index:int,state", Since: "2025-04-11", Kind: Dag, Action: Read},
	{Method: "GET", Pattern: "/task-instances/states", Query: "dag_id,logical_dates:list,map_index:int,run_ids:list,task_group_id,task_ids:list", Since: "2025-04-11", Kind: Dag, Action: Count},
	{Method: "GET", Pattern: "/task-instances/breadcrumbs", Query: "dag_id,run_id", Since: "2025-04-11", Kind: Dag, Action: Read},
	{Method: "PATCH", Pattern: "/task-instances/{task_instance_id}/run", Since: "2025-04-11", Kind: Self, Action: Write, Scopes: "execution,workload"},
	{Method: "PATCH", Pattern: "/task-instances/{task_instance_id}/state", Since: "2025-04-11", Kind: Self, Action: Write},
	{Method: "PATCH", Pattern: "/task-instances/{task_instance_id}/skip-downstream", Since: "2025-04-11", Kind: Self, Action: Write},
	{Method: "PUT", Pattern: "/task-instances/{task_instance_id}/heartbeat", Since: "2025-04-11", Kind: Self, Action: Write},
	{Method: "PUT", Pattern: "/task-instances/{task_instance_id}/rtif", Since: "2025-04-11", Kind: Self, Action: Write},
	{Method: "PATCH", Pattern: "/task-instances/{task_instance_id}/rendered-map-index", Since: "2025-04-11", Kind: Self, Action: Write},
	{Method: "PATCH", Pattern: "/task-instances/{task_instance_id}/dag-run-note", Since: "2026-10-30", Kind: Self, Action: Write},
	{Method: "GET", Pattern: "/task-instances/{task_instance_id}/previous-successful-dagrun", Since: "2025-04-11", Kind: Self, Action: Read},
	{Method: "GET", Pattern: "/task-instances/{task_instance_id}/validate-inlets-and-outlets", Since: "2025-04-11", Kind: Self, Action: Read},

	{Method: "GET", Pattern: "/task-reschedules/{task_instance_id}/start_date", Since: "2025-04-11", Kind: Self, Action: Read},

	// keys before {variable_key}, item and slice before the plain XCom.
	{Method: "GET", Pattern: "/variables/keys", Query: "limit:int,offset:int,prefix", Since: "2026-06-30", Kind: Variable, Action: List},
	{Method: "GET", Pattern: "/variables/{variable_key:path}", Since: "2025-04-11", Kind: Variable, Action: Read},
	{Method: "PUT", Pattern: "/variables/{variable_key:path}", Since: "2025-04-11", Kind: Variable, Action: Write},
	{Method: "DELETE", Pattern: "/variables/{variable_key:path}", Since: "2025-04-11", Kind: Variable, Action: Delete},

	{Method: "GET", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}/item/{offset}", Query: "previous_iteration", Since: "2025-04-11", Kind: XCom, Action: Read},
	{Method: "GET", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}/slice", Query: "include_prior_dates,previous_iteration,start:int,step:int,stop:int", Since: "2025-04-11", Kind: XCom, Action: Read},
	{Method: "HEAD", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}", Query: "map_index:int,previous_iteration", Since: "2025-04-11", Kind: XCom, Action: Count},
	{Method: "GET", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}", Query: "include_prior_dates,map_index:int,offset:int,previous_iteration", Since: "2025-04-11", Kind: XCom, Action: Read},
	{Method: "POST", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}", Query: "dag_result,map_index:int,mapped_length:int", Since: "2025-04-11", Kind: XCom, Action: Write},
	{Method: "DELETE", Pattern: "/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}", Query: "map_index:int", Since: "2025-04-11", Kind: XCom, Action: Delete},

	{Method: "POST", Pattern: "/hitlDetails/{task_instance_id}", Since: "2025-04-11", Kind: Self, Action: Write},
	{Method: "PATCH", Pattern: "/hitlDetails/{task_instance_id}", Since: "2025-04-11", Kind: Self, Action: Write},
	{Method: "GET", Pattern: "/hitlDetails/{task_instance_id}", Since: "2025-04-11", Kind: Self, Action: Read},

	{Method: "GET", Pattern: "/store/ti/{task_instance_id}/{key:path}", Since: "2026-06-30", Kind: Self, Action: Read},
	{Method: "PUT", Pattern: "/store/ti/{task_instance_id}/{key:path}", Since: "2026-06-30", Kind: Self, Action: Write},
	{Method: "DELETE", Pattern: "/store/ti/{task_instance_id}/{key:path}", Since: "2026-06-30", Kind: Self, Action: Delete},
	{Method: "DELETE", Pattern: "/store/ti/{task_instance_id}", Since: "2026-06-30", Kind: Self, Action: Delete},

	{Method: "GET", Pattern: "/store/asset/by-name/value", Query: "key,name", Since: "2026-06-30", Kind: Asset, Action: Read},
	{Method: "PUT", Pattern: "/store/asset/by-name/value", Query: "key,name", Since: "2026-06-30", Kind: Asset, Action: Write},
	{Method: "DELETE", Pattern: "/store/asset/by-name/value", Query: "key,name", Since: "2026-06-30", Kind: Asset, Action: Delete},
	{Method: "DELETE", Pattern: "/store/asset/by-name/clear", Query: "name", Since: "2026-06-30", Kind: Asset, Action: Delete},
	{Method: "GET", Pattern: "/store/asset/by-uri/value", Query: "key,uri", Since: "2026-06-30", Kind: Asset, Action: Read},
	{Method: "PUT", Pattern: "/store/asset/by-uri/value", Query: "key,uri", Since: "2026-06-30", Kind: Asset, Action: Write},
	{Method: "DELETE", Pattern: "/store/asset/by-uri/value", Query: "key,uri", Since: "2026-06-30", Kind: Asset, Action: Delete},
	{Method: "DELETE", Pattern: "/store/asset/by-uri/clear", Query: "uri", Since: "2026-06-30", Kind: Asset, Action: Delete},
}

// sections holds the table by the first segment of its patterns, in order.
var sections = func() map[string][]Route {
	bySection := make(map[string][]Route)
	for _, route := range table {
		route.pattern = compile(route.Pattern)
		route.params = parseParams(route.Query, route.Alias)
		route.versions = versionsBetween(route.Since, route.Until)
		first := section(route.Pattern)
		bySection[first] = append(bySection[first], route)
	}
	return bySection
}()

// Table lists every endpoint, in the order in which they are tried.
func Table() []Route { return append([]Route(nil), table...) }
