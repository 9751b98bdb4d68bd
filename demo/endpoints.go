package demo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// endpoints are those of the Execution API that the stub serves, by method and
// pattern as in the table of routes. An error is 500, [sql.ErrNoRows] is 404. All
// other reports of a task about itself are only acknowledged.
var endpoints = map[string]func(u *upstream, ctx context.Context, c call) (reply, error){
	"GET /health":      (*upstream).health,
	"GET /health/ping": (*upstream).ping,

	"GET /variables/keys":                   (*upstream).listVariables,
	"GET /variables/{variable_key:path}":    (*upstream).getVariable,
	"PUT /variables/{variable_key:path}":    (*upstream).putVariable,
	"DELETE /variables/{variable_key:path}": (*upstream).deleteVariable,
	"GET /connections/{connection_id:path}": (*upstream).getConnection,

	"GET /xcoms/{dag_id}/{run_id}/{task_id}/{key:path}":    (*upstream).getXCom,
	"HEAD /xcoms/{dag_id}/{run_id}/{task_id}/{key:path}":   (*upstream).countXComs,
	"POST /xcoms/{dag_id}/{run_id}/{task_id}/{key:path}":   (*upstream).setXCom,
	"DELETE /xcoms/{dag_id}/{run_id}/{task_id}/{key:path}": (*upstream).deleteXCom,

	"GET /dags/{dag_id}":                     (*upstream).getDag,
	"GET /dag-runs/{dag_id}/{run_id}/state":  (*upstream).getRunState,
	"GET /dag-runs/count":                    (*upstream).countRuns,
	"POST /dag-runs/{dag_id}/{run_id}":       (*upstream).triggerRun,
	"POST /dag-runs/{dag_id}/{run_id}/clear": (*upstream).clearRun,

	"PUT /task-instances/{task_instance_id}/heartbeat": (*upstream).heartbeat,
	"GET /task-instances/count":                        (*upstream).countTaskInstances,
	"GET /assets/by-name":                              (*upstream).getAsset,
}

func (u *upstream) health(context.Context, call) (reply, error) {
	return reply{status: http.StatusOK, body: map[string]string{"status": "healthy"}}, nil
}

func (u *upstream) ping(context.Context, call) (reply, error) {
	return reply{status: http.StatusOK, body: map[string]any{"ok": []string{}, "failing": map[string]string{}}}, nil
}

// acknowledge is Airflow's answer to most reports of a task about itself.
func (u *upstream) acknowledge(context.Context, call) (reply, error) {
	return reply{status: http.StatusNoContent}, nil
}

// listVariables returns the keys of the task's team, or all if it has none or is
// no current attempt, as Airflow 3.3 does. The attempt leavingA ends before that.
func (u *upstream) listVariables(ctx context.Context, c call) (reply, error) {
	if c.task == idLeaveA {
		if err := u.world.retry(ctx, c.task); err != nil {
			return reply{}, err
		}
	}
	team, err := u.world.team(ctx, c.task)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return reply{}, err
	}
	rows, err := u.world.db.QueryContext(ctx, `SELECT "key" FROM variable WHERE ?1 IS NULL OR team_name = ?1 ORDER BY "key"`, team)
	if err != nil {
		return reply{}, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports every error of reading
	keys := []string{}
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return reply{}, err
		}
		keys = append(keys, key)
	}
	return reply{status: http.StatusOK, body: map[string]any{"keys": keys, "total_entries": len(keys)}}, rows.Err()
}

func (u *upstream) getVariable(ctx context.Context, c call) (reply, error) {
	var value string
	err := u.world.db.QueryRowContext(ctx, `SELECT val FROM variable WHERE "key" = ?`, c.Key).Scan(&value)
	return reply{status: http.StatusOK, body: map[string]string{"key": c.Key, "value": value}}, err
}

// putVariable overwrites any variable; a new one gets the task's team. Both as
// Airflow 3.3 does.
func (u *upstream) putVariable(ctx context.Context, c call) (reply, error) {
	value, ok := variableValue(c.body)
	if !ok {
		return refusal(http.StatusUnprocessableEntity, "the body is not a JSON object with a string val"), nil
	}
	team, err := u.world.team(ctx, c.task)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return reply{}, err
	}
	_, err = u.world.db.ExecContext(ctx, `INSERT INTO variable ("key", val, team_name) VALUES (?, ?, ?)
		ON CONFLICT ("key") DO UPDATE SET val = excluded.val`, c.Key, value, team)
	return reply{status: http.StatusCreated, body: map[string]string{"message": "Variable successfully set"}}, err
}

// variableValue reads the body of a request that sets a variable.
func variableValue(body []byte) (string, bool) {
	var set struct {
		Val *string `json:"val"`
	}
	if err := json.Unmarshal(body, &set); err != nil || set.Val == nil {
		return "", false
	}
	return *set.Val, true
}

func (u *upstream) deleteVariable(ctx context.Context, c call) (reply, error) {
	_, err := u.world.db.ExecContext(ctx, `DELETE FROM variable WHERE "key" = ?`, c.Key)
	return reply{status: http.StatusNoContent}, err
}

func (u *upstream) getConnection(ctx context.Context, c call) (reply, error) {
	var kind, host string
	err := u.world.db.QueryRowContext(ctx, "SELECT conn_type, host FROM connection WHERE conn_id = ?", c.Key).Scan(&kind, &host)
	return reply{status: http.StatusOK, body: map[string]any{
		"conn_id": c.Key, "conn_type": kind, "host": host,
		"schema": nil, "login": nil, "password": nil, "port": nil, "extra": nil,
	}}, err
}

// sameXComs is the condition for the XComs of a task and key, over all map
// indexes; c.xcoms returns its arguments.
const sameXComs = ` dag_id = ? AND run_id = ? AND task_id = ? AND "key" = ?`

func (c call) xcoms(more ...any) []any {
	return append([]any{c.DagID, c.RunID, c.TaskID, c.Key}, more...)
}

// mapIndex returns the request's map index, or -1.
func (c call) mapIndex() int {
	if c.HasMapIndex {
		return c.MapIndex
	}
	return -1
}

func (u *upstream) getXCom(ctx context.Context, c call) (reply, error) {
	var value string
	err := u.world.db.QueryRowContext(ctx, "SELECT value FROM xcom WHERE"+sameXComs+" AND map_index = ?",
		c.xcoms(c.mapIndex())...).Scan(&value)
	return reply{status: http.StatusOK, body: map[string]any{"key": c.Key, "value": json.RawMessage(value)}}, err
}

func (u *upstream) countXComs(ctx context.Context, c call) (reply, error) {
	n, err := u.count(ctx, "SELECT count(*) FROM xcom WHERE"+sameXComs, c.xcoms()...)
	return reply{status: http.StatusOK, header: http.Header{"Content-Range": {fmt.Sprintf("map_indexes %d", n)}}}, err
}

func (u *upstream) setXCom(ctx context.Context, c call) (reply, error) {
	if !json.Valid(c.body) {
		return refusal(http.StatusUnprocessableEntity, "the body is not JSON"), nil
	}
	_, err := u.world.db.ExecContext(ctx, `INSERT INTO xcom (dag_id, run_id, task_id, "key", map_index, value) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET value = excluded.value`, c.xcoms(c.mapIndex(), string(c.body))...)
	return reply{status: http.StatusCreated, body: map[string]string{"message": "XCom successfully set"}}, err
}

func (u *upstream) deleteXCom(ctx context.Context, c call) (reply, error) {
	_, err := u.world.db.ExecContext(ctx, "DELETE FROM xcom WHERE"+sameXComs+" AND map_index = ?", c.xcoms(c.mapIndex())...)
	return reply{status: http.StatusOK, body: map[string]string{"message": "XCom with key: " + c.Key + " successfully deleted."}}, err
}

func (u *upstream) getDag(ctx context.Context, c call) (reply, error) {
	var bundle string
	var paused bool
	err := u.world.db.QueryRowContext(ctx, "SELECT bundle_name, is_paused FROM dag WHERE dag_id = ?", c.DagID).Scan(&bundle, &paused)
	return reply{status: http.StatusOK, body: map[string]any{
		"dag_id": c.DagID, "is_paused": paused, "bundle_name": bundle, "bundle_version": nil,
		"relative_fileloc": c.DagID + ".py", "owners": "airflow", "tags": []string{}, "next_dagrun": nil,
	}}, err
}

func (u *upstream) getRunState(ctx context.Context, c call) (reply, error) {
	var state string
	err := u.world.db.QueryRowContext(ctx, "SELECT state FROM dag_run WHERE dag_id = ? AND run_id = ?", c.DagID, c.RunID).Scan(&state)
	return reply{status: http.StatusOK, body: map[string]string{"state": state}}, err
}

func (u *upstream) countRuns(ctx context.Context, c call) (reply, error) {
	n, err := u.count(ctx, "SELECT count(*) FROM dag_run WHERE dag_id = ?", c.DagID)
	return reply{status: http.StatusOK, body: n}, err
}

func (u *upstream) triggerRun(ctx context.Context, c call) (reply, error) {
	changed, err := u.change(ctx, "INSERT INTO dag_run VALUES (?, ?, 'queued') ON CONFLICT DO NOTHING", c.DagID, c.RunID)
	if err == nil && !changed {
		return refusal(http.StatusConflict, detail{"already_exists", "A run already exists for Dag '" + c.DagID + "' with run_id '" + c.RunID + "'"}), nil
	}
	return reply{status: http.StatusNoContent}, err
}

func (u *upstream) clearRun(ctx context.Context, c call) (reply, error) {
	changed, err := u.change(ctx, "UPDATE dag_run SET state = 'queued' WHERE dag_id = ? AND run_id = ?", c.DagID, c.RunID)
	if err == nil && !changed {
		err = sql.ErrNoRows
	}
	return reply{status: http.StatusNoContent}, err
}

// heartbeat answers 410 to an attempt that was reported up for retry.
func (u *upstream) heartbeat(ctx context.Context, c call) (reply, error) {
	n, err := u.count(ctx, "SELECT count(*) FROM task_instance WHERE id = ?", hexID(c.ID))
	if err != nil || n > 0 {
		return reply{status: http.StatusNoContent}, err
	}
	n, err = u.count(ctx, "SELECT count(*) FROM task_instance_history WHERE task_instance_id = ?", hexID(c.ID))
	if err == nil && n == 0 {
		err = sql.ErrNoRows
	}
	return refusal(http.StatusGone, detail{
		"not_found", "Task Instance not found, it may have been moved to the Task Instance History table",
	}), err
}

func (u *upstream) countTaskInstances(ctx context.Context, c call) (reply, error) {
	n, err := u.count(ctx, "SELECT count(*) FROM task_instance WHERE dag_id = ?", c.DagID)
	return reply{status: http.StatusOK, body: n}, err
}

// getAsset knows three assets.
func (u *upstream) getAsset(_ context.Context, c call) (reply, error) {
	switch c.AssetName {
	case "orders", "stock", "deliveries":
		return reply{status: http.StatusOK, body: map[string]any{"name": c.AssetName, "uri": "s3://bucket/" + c.AssetName, "group": "asset", "extra": nil}}, nil
	}
	return reply{}, sql.ErrNoRows
}

func (u *upstream) count(ctx context.Context, query string, args ...any) (n int, err error) {
	err = u.world.db.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

// change reports whether the statement changed anything.
func (u *upstream) change(ctx context.Context, statement string, args ...any) (bool, error) {
	result, err := u.world.db.ExecContext(ctx, statement, args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}
