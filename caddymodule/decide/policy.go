// Package decide holds the rules: what must be known about a request ([Needs]),
// and, once it is known, whether the request passes ([Judge]).
//
// Both are pure, so the whole policy is a table of cases without a fake. The
// rules are those of the Airflow dev-list proposal (apache/airflow issue 60125,
// AIP-67) and of Airflow 3.3's own XCom check (execution_api/routes/xcoms.py).
package decide

// Mode says what becomes of a denial.
type Mode uint8

// The modes. The zero Mode enforces.
const (
	// Enforce answers a denial to the task.
	Enforce Mode = iota
	// Audit forwards the request, and records what would have been answered.
	Audit
	// Off looks nothing up and allows the group's requests.
	Off
)

// String returns the mode's name in metrics and logs.
func (m Mode) String() string {
	switch m {
	case Audit:
		return "audit"
	case Off:
		return "off"
	case Enforce:
	}
	return "enforce"
}

// XComWriter says whose XComs a task may write and delete.
type XComWriter uint8

// The choices of the setting xcom_writes. The zero XComWriter is the strictest.
const (
	// OwnTaskInstance: dag, run, task and map index are the task's own.
	OwnTaskInstance XComWriter = iota
	// OwnTask: dag, run and task are the task's own, whatever the map index.
	OwnTask
	// OwnDag: the dag is the task's own, whatever the run and the task.
	OwnDag
	// OwnTeam: the dag is one of the task's team's.
	OwnTeam
)

// Policy is the operator's settings. The zero Policy enforces every rule.
type Policy struct {
	// Mode is what becomes of denials outside the rule groups: tokens, scopes,
	// another task instance's own endpoints.
	Mode Mode
	// The rule groups.
	Variables, Connections, XComs, Dags, Assets Mode

	// MultiTeamOff skips the team rules, for an Airflow without [core] multi_team.
	MultiTeamOff bool
	// MultiTeamKnown means that multi_team was set, by the fence's configuration or
	// Airflow's, and is not only assumed to be on.
	MultiTeamKnown bool
	// DenyGlobalWrites lets only tasks of no team change what has no owner.
	DenyGlobalWrites bool
	// AllowTeamless lets a task of no team use what a team owns.
	AllowTeamless bool
	// AllowDocumentation lets everybody read the API's own documentation.
	AllowDocumentation bool
	// XComWrites says whose XComs a task may write and delete.
	XComWrites XComWriter
}
