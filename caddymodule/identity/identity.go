// Package identity turns an Authorization header into the task that Airflow's
// Execution API would take it for, or into the one reason why it would not.
//
// It follows Airflow's own reading: the bearer scheme as FastAPI splits it, the
// token and its claims as PyJWT and Airflow's JWTValidator check them, the
// subject as pydantic parses a UUID. Where those are more lenient than any
// token that Airflow signs needs (whitespace and padding inside a token, numeric
// dates given as strings, critical extensions), the token is refused.
package identity

import (
	"fmt"
)

// Scope says what a token was issued for. The zero Scope is none at all, and
// no route takes it. Which routes take which scope is the table's to say.
type Scope uint8

// The scopes that Airflow signs (execution_api/datamodels/token.py).
const (
	_ Scope = iota
	// ScopeExecution is a running task's own token: every route but the
	// connection tests and the callback's takes it. A token without a scope claim
	// has this one.
	ScopeExecution
	// ScopeWorkload is the long-lived token of a task that waits in a queue:
	// only the routes that start it, and the connection tests, take it.
	ScopeWorkload
	// ScopeCallback is the token of a deadline's callback that waits in a queue: it
	// is exchanged once for an execution token (Airflow 3.4; apache/airflow#71192).
	ScopeCallback
)

// scopeNames are the scopes' names in a token. A name that is not here is refused.
var scopeNames = [...]string{ScopeExecution: "execution", ScopeWorkload: "workload", ScopeCallback: "callback"}

// String returns the scope's name in a token, such as "execution".
func (s Scope) String() string {
	if s > 0 && int(s) < len(scopeNames) {
		return scopeNames[s]
	}
	return fmt.Sprintf("scope(%d)", uint8(s))
}

// TaskClaims is what a token says, under its signature, about the task itself.
// Airflow up to 3.3 signs none of it; a token that does is believed without a
// lookup. An empty field, and the zero TaskClaims, means that the token is silent.
type TaskClaims struct {
	DagID  string
	RunID  string
	TaskID string
	// MapIndex is -1 for a task that is not mapped; it counts only where
	// HasMapIndex is set.
	MapIndex    int
	HasMapIndex bool
}

// Task is who a verified token speaks for. The zero Task has no scope, so that
// nothing takes it.
type Task struct {
	// ID is the token's subject, the task instance's id, as a canonical
	// lower-case UUID.
	ID     string
	Scope  Scope
	Claims TaskClaims
}
