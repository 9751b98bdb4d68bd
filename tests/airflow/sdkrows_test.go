package airflow_test

// The errors that end a call for a secret.
const (
	accessDenied = "AirflowSecretsBackendAccessDenied"
	noVariable   = "AirflowRuntimeError VARIABLE_NOT_FOUND"
	noConnection = "AirflowNotFoundException"
	serverError  = "AirflowRuntimeError API_SERVER_ERROR"
)

// A sdkRow is what a call of sdk.py comes to, by what the Task SDK makes of a
// denial: asksLast, fallsThrough, stops. Empty where the SDK has no such call.
type sdkRow struct {
	server, call string
	want         [3]string
}

func always(want string) [3]string { return [3]string{want, want, want} }

var sdkRows = []sdkRow{
	// The client, without the fence. 1.0.6 sends bodies without a Content-Type,
	// which the FastAPI of 3.3.2 does not take.
	{"straight", "own variable", always("ok")},
	{"straight", "other team's variable", always("VARIABLE_NOT_FOUND")},
	{"straight", "missing variable", always("VARIABLE_NOT_FOUND")},
	{"straight", "write other team's variable", [3]string{"ServerResponseError 422", "ok", "ok"}},
	{"straight", "own connection", always("ok")},
	{"straight", "other team's connection", always("CONNECTION_NOT_FOUND")},
	{"straight", "missing connection", always("CONNECTION_NOT_FOUND")},
	{"straight", "other team's xcom", always("ServerResponseError 403")},
	{"straight", "count of other team's xcoms", always("HTTPStatusError 403")}, // HEAD has no body to parse
	{"straight", "write another task's xcom", always("ok")},
	{"straight", "write own xcom", always("ok")},
	{"straight", "trigger other team's dag", [3]string{"ServerResponseError 422", "ok", "ok"}},
	{"straight", "trigger unknown dag", [3]string{"ServerResponseError 422", "ServerResponseError 404", "ServerResponseError 404"}},
	{"straight", "previous successful run", always("ok")},
	// The client, with it.
	{"fenced", "own variable", always("ok")},
	{"fenced", "other team's variable", [3]string{"ServerResponseError 403", "ServerResponseError 403", "PERMISSION_DENIED"}},
	{"fenced", "missing variable", always("VARIABLE_NOT_FOUND")},
	{"fenced", "write other team's variable", always("ServerResponseError 403")},
	{"fenced", "own connection", always("ok")},
	{"fenced", "other team's connection", [3]string{"ServerResponseError 403", "ServerResponseError 403", "PERMISSION_DENIED"}},
	{"fenced", "missing connection", always("CONNECTION_NOT_FOUND")},
	{"fenced", "other team's xcom", always("ServerResponseError 403")},
	{"fenced", "count of other team's xcoms", always("HTTPStatusError 403")},
	{"fenced", "write another task's xcom", always("ServerResponseError 403")},
	{"fenced", "write own xcom", always("ok")},
	{"fenced", "trigger other team's dag", always("ServerResponseError 403")},
	{"fenced", "trigger unknown dag", always("ServerResponseError 404")},
	{"fenced", "previous successful run", always("ok")},

	// A chain of the Execution API and a spy. In 1.1.8 the asynchronous call
	// reaches no Execution API from a task, whatever it asks for.
	{"fenced", "own: _get_variable", [3]string{"spy, api: value of var_a", "api: value of var_a", "api: value of var_a"}},
	{"fenced", "own: _get_connection", [3]string{"spy, api: ok", "api: ok", "api: ok"}},
	{"fenced", "own: _async_get_connection", [3]string{"", "spy: " + noConnection, "api: ok"}},
	{"fenced", "other's: _get_variable", [3]string{"spy, api: " + serverError, "api, spy: " + noVariable, "api: " + accessDenied}},
	{"fenced", "other's: _get_connection", [3]string{"spy, api: " + serverError, "api, spy: " + noConnection, "api: " + accessDenied}},
	{"fenced", "other's: _async_get_connection", [3]string{"", "spy: " + noConnection, "api: " + accessDenied}},
	{"fenced", "missing: _get_variable", [3]string{"spy, api: " + noVariable, "api, spy: " + noVariable, "api, spy: " + noVariable}},
	{"fenced", "missing: _get_connection", [3]string{"spy, api: AirflowRuntimeError CONNECTION_NOT_FOUND", "api, spy: " + noConnection, "api, spy: " + noConnection}},
	{"fenced", "missing: _async_get_connection", [3]string{"", "spy: " + noConnection, "api, spy: " + noConnection}},
	// The backend alone, asked for what is the other team's.
	{"fenced", "backend: get_variable", [3]string{"", "api: none", "api: " + accessDenied}},
	{"fenced", "backend: aget_variable", [3]string{"", ": none", "api: " + accessDenied}},
	{"fenced", "backend: get_connection", [3]string{"", "api: none", "api: " + accessDenied}},
	{"fenced", "backend: aget_connection", [3]string{"", ": none", "api: " + accessDenied}},
	// The backends that a worker has: the Execution API is the last of them.
	{"fenced", "stock: Variable.get with a default", [3]string{"api: " + serverError, "api: the default", "api: " + accessDenied}},
	{"fenced", "stock: Connection.get", [3]string{"api: " + serverError, "api: " + noConnection, "api: " + accessDenied}},

	// 503 is retried, and then treated as not found.
	{"down", "other team's variable", always("ServerResponseError 503")},
	{"down", "own: _get_variable", [3]string{"spy, api, api: " + serverError, "api, api, spy: " + noVariable, "api, api, spy: " + noVariable}},
	{"down", "own: _get_connection", [3]string{"spy, api, api: " + serverError, "api, api, spy: " + noConnection, "api, api, spy: " + noConnection}},
	{"down", "own: _async_get_connection", [3]string{"", "spy: " + noConnection, "api, api, spy: " + noConnection}},
	{"down", "stock: Variable.get with a default", [3]string{"api, api: " + serverError, "api, api: the default", "api, api: the default"}},
	{"down", "previous successful run", always("ok")}, // its own endpoint
}
