package report

import "strings"

// whys are the reasons of denials, each as a sentence with what can be done.
var whys = map[string]string{ //nolint:gosec // sentences, no credentials
	"other_team":          "Another team owns it.",
	"teamless_task":       "The task's dag has no team, and a team owns what it asks for.",
	"global_write":        "No team owns it, and what is global is not written (global_writes deny; XComs of a global dag never are).",
	"team_environment":    "The key names a team's environment variable.",
	"not_own_task":        "It is another task's XCom. User code that needs it: xcom_writes task or dag.",
	"other_task_instance": "The token is another task instance's.",
	"token_scope":         "The token's scope does not allow the endpoint.",
	"unknown_task":        "The token's task instance is not in the database.",
	"claims_differ":       "The token names another dag, run or task than the database.",
	"unknown_dag":         "The dag does not exist.",
	"not_current_task":    "Listing variable keys is for the current attempt of a task instance.",
	"team_not_stored":     "Listing variable keys needs the team to be in Airflow's database.",
	"multi_team_unset":    "Listing variable keys needs multi_team to be set to on.",
	"source_denied":       "The lookup service refuses to answer: check its token or certificate.",
	"source_unavailable":  "The owner was not known (on_unavailable deny).",
	"documentation":       "The API's documentation is not served (documentation allow).",
	"not_judged":          "It was not decided.",
	"unlisted_route":      "The table has no such endpoint: see dagfence routes.",
	"method_not_allowed":  "The endpoint has no such method: see dagfence routes.",
	"outside_base_path":   "The path leads to the Execution API, but not by base_path.",
}

// why returns a reason as a sentence.
func why(reason string) string {
	switch sentence, known := whys[reason]; {
	case known:
		return sentence
	case strings.HasPrefix(reason, "token_"):
		return "The token is not accepted."
	}
	return "The request is not accepted."
}
