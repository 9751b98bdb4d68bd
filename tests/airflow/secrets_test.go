package airflow_test

import "net/http"

// variables: read, written and deleted by their owner's team, or by all where
// nobody owns them.
var variables = []cell{
	{"a variable of the own team", taskA, get("/variables/var_a"), 200, passes},
	{"with a slash", taskA, get("/variables/a/b"), 200, passes},
	{"with an encoded slash", taskA, get("/variables/a%2Fb"), 200, passes},
	{"with a space", taskA, get("/variables/sp%20ace"), 200, passes},
	{"with a percent sign", taskA, get("/variables/100%25"), 200, passes},
	{"in Cyrillic", taskA, get("/variables/%D0%BA%D0%BB%D1%8E%D1%87"), 200, passes},
	{"needlessly encoded", taskA, get("/variables/%76ar_a"), 200, passes},
	{"team b's own", taskB, get("/variables/var_b"), 200, passes},
	{"a variable of the other team", taskA, get("/variables/var_b"), 404, denied},
	{"the other way round", taskB, get("/variables/var_a"), 404, denied},
	{"the other team's with a slash", taskA, get("/variables/b/c"), 404, denied},
	{"the other team's with an encoded slash", taskA, get("/variables/b%2Fc"), 404, denied},
	{"the other team's needlessly encoded", taskA, get("/variables/%76ar%5Fb"), 404, denied},
	{"the other team's with a percent sign", taskA, get("/variables/pct%252Fkey"), 404, denied},
	{"which is not the one decoded twice", taskB, get("/variables/pct%2Fkey"), 404, passes},
	{"a global variable", taskA, get("/variables/global_var"), 200, passes},
	{"a variable that is not stored", taskA, get("/variables/no_such"), 404, passes},
	{"a variable of the environment", taskA, get("/variables/from_environment"), 200, passes},
	{"the own team's environment", taskB, get("/variables/in_secret"), 200, passes},
	{"the other team's environment", taskA, get("/variables/in_secret"), 404, passes},
	{"the other team's environment by its full name", taskA, get("/variables/_TEAM_B___IN_SECRET"), 404, denied},
	{"a team's variable for a teamless task", taskG, get("/variables/var_a"), 404, denied},
	{"a global variable for a teamless task", taskG, get("/variables/global_var"), 200, passes},
	{"a variable that is not stored for a teamless task", taskG, get("/variables/no_such"), 404, passes},
	{"a variable of the own team for an attempt up for retry", retried, get("/variables/var_a"), 404, passes},
	{"a global variable for an attempt up for retry", retried, get("/variables/global_var"), 200, passes},
	{"a variable of the other team for an attempt up for retry", retried, get("/variables/var_b"), 404, denied},
	{"a global variable for an unknown task", nowhere, get("/variables/global_var"), 200, denied},
	{"a team's variable for an unknown task", nowhere, get("/variables/var_a"), 404, denied},

	{"the list of keys", taskA, get("/variables/keys"), 200, listed},
	{"the list of keys with a prefix", taskB, get("/variables/keys?prefix=b_&limit=1&offset=1"), 200, listed},
	{"the list of keys with no limit at all", taskA, get("/variables/keys?limit=0"), 422, listed},
	{"the list of keys for an attempt up for retry", retried, get("/variables/keys"), 200, denied}, // upstream lists all
	{"the list of keys with two limits", taskA, get("/variables/keys?limit=1&limit=2"), 200, refused(http.StatusBadRequest)},
	{"the list of keys with a padded limit", taskA, get("/variables/keys?limit=01"), 200, refused(http.StatusBadRequest)},
	{"the list of keys for a teamless task", taskG, get("/variables/keys"), 200, denied},
	{"the list of keys for an unknown task", nowhere, get("/variables/keys"), 200, denied},
	{"the variable named keys for an old SDK", taskA, get("/variables/keys").under(oldSDK), 200, passes},
	{"the variable named keys for a teamless task's old SDK", taskG, get("/variables/keys").under(oldSDK), 200, passes},

	{"writing the own team's variable", taskA, put("/variables/a_put", `{"val":"new"}`), 201, passes},
	{"writing one with a slash", taskA, put("/variables/a/put", `{"val":"new","description":"d"}`), 201, passes},
	{"writing a new variable", taskA, put("/variables/a_new", `{"val":"new"}`), 201, passes},
	{"writing a variable without a value", taskA, put("/variables/a_put", `{}`), 422, passes},
	{"writing the other team's variable", taskA, put("/variables/b_put", `{"val":"taken"}`), 201, denied},
	{"writing the other team's with a slash", taskA, put("/variables/b%2Fput", `{"val":"taken"}`), 201, denied},
	{"writing a global variable", taskA, put("/variables/global_put", `{"val":"new"}`), 201, passes},
	{"writing a team's variable from a teamless task", taskG, put("/variables/a_put_by_g", `{"val":"taken"}`), 201, denied},
	{"writing a global variable from a teamless task", taskG, put("/variables/global_put_by_g", `{"val":"new"}`), 201, passes},
	{"writing a name of the other team's environment", taskA, put("/variables/_TEAM_B___X", `{"val":"x"}`), 201, denied},
	{"writing a new variable from an attempt up for retry", retried, put("/variables/new_by_retry", `{"val":"x"}`), 201, passes},
	{"the same for an old SDK", retried, put("/variables/new_by_retry", `{"val":"x"}`).under(oldSDK), 201, passes},
	{"writing the other team's variable from an attempt up for retry", retried, put("/variables/b_put", `{"val":"taken"}`).under(oldSDK), 201, denied},
	{"writing from an unknown task", nowhere, put("/variables/new", `{"val":"x"}`), 201, denied},
	{"deleting the own team's variable", taskA, del("/variables/a_delete"), 204, passes},
	{"deleting the other team's variable", taskA, del("/variables/b_delete"), 204, denied},
	{"deleting a global variable", taskA, del("/variables/global_delete"), 204, passes},
	{"deleting a variable that is not stored", taskA, del("/variables/no_such"), 204, passes},
	{"deleting from an unknown task", nowhere, del("/variables/global_var"), 204, denied},
}

// connections: read as variables are.
var connections = []cell{
	{"a connection of the own team", taskA, get("/connections/conn_a"), 200, passes},
	{"a connection of the other team", taskA, get("/connections/conn_b"), 404, denied},
	{"a connection the other way round", taskB, get("/connections/conn_a"), 404, denied},
	{"a global connection", taskA, get("/connections/global_conn"), 200, passes},
	{"a connection that is not stored", taskA, get("/connections/no_such"), 404, passes},
	{"the other team's connection in the environment", taskA, get("/connections/_TEAM_B___DB"), 404, denied},
	{"a team's connection for a teamless task", taskG, get("/connections/conn_a"), 404, denied},
	{"a global connection for a teamless task", taskG, get("/connections/global_conn"), 200, passes},
	{"a global connection for an unknown task", nowhere, get("/connections/global_conn"), 200, denied},
	{"a connection's id with a slash", taskA, get("/connections/conn%2Fa"), 404, passes}, // no endpoint before 3.4
}
