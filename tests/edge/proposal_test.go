package edge_test

import "testing"

// The scenarios of the proposal on the Airflow dev list (apache/airflow issue
// 60125), by their names there.

func TestVariable_CrossTeamIsDenied(t *testing.T) {
	e := start(t, "")
	e.denied(t, taskA, "GET /variables/var_b")
	e.denied(t, taskA, "PUT /variables/var_b")
	e.denied(t, taskA, "DELETE /variables/var_b")
	e.denied(t, taskB, "GET /variables/var_a")
}

func TestConnection_CrossTeamIsDenied(t *testing.T) {
	e := start(t, "")
	e.denied(t, taskA, "GET /connections/conn_b")
	e.denied(t, taskB, "GET /connections/conn_a")
}

func TestSecrets_OwnAreAllowed(t *testing.T) {
	e := start(t, "")
	for _, request := range []string{"GET /variables/var_a", "PUT /variables/var_a", "DELETE /variables/var_a", "GET /connections/conn_a"} {
		e.allowed(t, taskA, request)
	}
}

func TestSecrets_GlobalAreAllowed(t *testing.T) {
	e := start(t, "")
	for _, id := range []string{taskA, taskB, teamless} {
		e.allowed(t, id, "GET /variables/var_g")
		e.allowed(t, id, "GET /connections/conn_g")
	}
}

func TestXComWrite_ByTheTaskItselfIsAllowed(t *testing.T) {
	e := start(t, "")
	e.allowed(t, taskA, "POST /xcoms/dag_a/"+run+"/t1/return_value?map_index=-1")
	e.allowed(t, taskA, "DELETE /xcoms/dag_a/"+run+"/t1/return_value")
	e.allowed(t, mappedA, "POST /xcoms/dag_a/"+run+"/t1/return_value?map_index=3&mapped_length=2")
}

func TestXComWrite_ByAnotherTaskIsDenied(t *testing.T) {
	e := start(t, "")
	e.denied(t, taskA, "POST /xcoms/dag_a/"+run+"/t2/return_value")
	e.denied(t, taskA, "DELETE /xcoms/dag_a/"+run+"/t2/return_value")
	e.denied(t, taskA, "POST /xcoms/dag_a/"+run+"/t1/return_value?map_index=3")
	e.denied(t, mappedA, "POST /xcoms/dag_a/"+run+"/t1/return_value")
	e.denied(t, taskA, "POST /xcoms/dag_a/scheduled__1/t1/return_value")
	e.denied(t, taskB, "POST /xcoms/dag_a/"+run+"/t1/return_value")
}

func TestXComRead_CrossDagWithinTheTeamIsAllowed(t *testing.T) {
	e := start(t, "")
	e.allowed(t, taskA, "GET /xcoms/dag_a2/"+run+"/t1/return_value")
	e.allowed(t, taskA, "GET /xcoms/dag_a2/"+run+"/t1/return_value/slice?start=0")
	e.allowed(t, taskA, "GET /xcoms/dag_g/"+run+"/t1/return_value/item/0")
}

func TestXComRead_CrossTeamIsDenied(t *testing.T) {
	e := start(t, "")
	e.denied(t, taskA, "GET /xcoms/dag_b/"+run+"/t1/return_value")
	e.denied(t, taskA, "HEAD /xcoms/dag_b/"+run+"/t1/return_value")
	e.denied(t, taskA, "GET /xcoms/dag_b/"+run+"/t1/return_value/slice")
	e.denied(t, taskA, "GET /xcoms/dag_b/"+run+"/t1/return_value/item/0")
}

func TestMultiTeam_OffChecksNoTeam(t *testing.T) {
	e := start(t, "multi_team off")
	e.allowed(t, taskA, "GET /variables/var_b")
	e.allowed(t, taskA, "PUT /variables/var_b")
	e.allowed(t, taskA, "GET /connections/conn_b")
	e.allowed(t, taskA, "GET /xcoms/dag_b/"+run+"/t1/return_value")
	e.allowed(t, taskA, "POST /dag-runs/dag_b/r")
	if asked := e.world.Calls(); asked != 0 {
		t.Errorf("%d lookups, want none", asked)
	}
	// A forged XCom harms a team's own dags as well.
	e.denied(t, taskA, "POST /xcoms/dag_b/"+run+"/t1/return_value")
	e.allowed(t, taskA, "POST /xcoms/dag_a/"+run+"/t1/return_value")
}
