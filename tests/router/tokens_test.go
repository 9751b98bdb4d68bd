package router_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/resolver"
)

const secret = "the-secret-that-airflow-signs-with-is-long-enough-for-hs512-too"

// ownTask is the task that the generated requests come from: its token signs
// all that is to be known about it.
const (
	ownTask  = "018f0000-0000-7000-8000-00000000000a"
	ownDag   = "own"
	ownRun   = "manual__2026-01-01T00:00:00+00:00"
	ownID    = "t1"
	ownIndex = 3
)

// claimsOf are the claims that Airflow signs for a task.
func claimsOf(subject string) jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"sub": subject, "scope": "execution", "aud": "urn:airflow.apache.org:task", "jti": "x",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(),
	}
}

// signOwn makes the own task's token of a scope.
func signOwn(t *testing.T, scope string) string {
	t.Helper()
	claims := claimsOf(ownTask)
	maps.Copy(claims, jwt.MapClaims{"scope": scope, "dag_id": ownDag, "run_id": ownRun, "task_id": ownID, "map_index": ownIndex})
	return sign(t, jwt.SigningMethodHS512, []byte(secret), claims, nil)
}

func sign(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// The tasks of the corpus, by id.
const (
	taskA, taskA2, taskA3 = "018f0000-0000-7000-8000-00000000000a", "018f0000-0000-7000-8000-0000000000a2", "018f0000-0000-7000-8000-0000000000a3"
	taskB, taskG          = "018f0000-0000-7000-8000-00000000000b", "018f0000-0000-7000-8000-00000000000c"
	unknownTask           = "018f0000-0000-7000-8000-0000000000ff"
)

var taskOf = map[string]resolver.Task{
	taskA:  {DagID: "dag_a", RunID: ownRun, TaskID: "t1", MapIndex: -1},
	taskA2: {DagID: "dag_a", RunID: ownRun, TaskID: "t2", MapIndex: -1},
	taskA3: {DagID: "dag_a", RunID: ownRun, TaskID: "t1", MapIndex: 3},
	taskB:  {DagID: "dag_b", RunID: ownRun, TaskID: "t1", MapIndex: -1},
	taskG:  {DagID: "dag_g", RunID: ownRun, TaskID: "t1", MapIndex: -1},
}

// corpusTokens are the tokens that the corpus names: those of tasks, and such
// of the first task as have one thing wrong.
func corpusTokens(t *testing.T) map[string]string {
	t.Helper()
	tokens := map[string]string{"dots_10k": strings.Repeat(".", 10_000)}
	for name, id := range map[string]string{
		"team_a_task": taskA, "team_a_t2": taskA2, "team_a_task_m3": taskA3, "team_b_task": taskB, "teamless_task": taskG, "unknown_ti": unknownTask,
	} {
		tokens[name] = sign(t, jwt.SigningMethodHS512, []byte(secret), claimsOf(id), nil)
	}
	past := time.Now().Add(-2 * time.Minute).Unix()
	for name, change := range map[string]jwt.MapClaims{
		"expired": {"exp": past, "iat": past - 600, "nbf": past - 600}, "exp_null": {"exp": json.RawMessage("null")},
		"wrong_aud": {"aud": "apache-airflow"}, "no_sub": {"sub": nil}, "scope_workload": {"scope": "workload"},
	} {
		claims := claimsOf(taskA)
		maps.Copy(claims, change)
		maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
		tokens[name] = sign(t, jwt.SigningMethodHS512, []byte(secret), claims, nil)
	}
	claims, other := claimsOf(taskA), []byte("another-secret-that-is-just-as-long-as-the-one-airflow-signs-with")
	tokens["alg_none"] = sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims, nil)
	tokens["alg_hs256_same_secret"] = sign(t, jwt.SigningMethodHS256, []byte(secret), claims, nil)
	tokens["signed_by_other_key"] = sign(t, jwt.SigningMethodHS512, other, claims, nil)
	tokens["rs256_pub_as_hmac"] = sign(t, jwt.SigningMethodHS512, publicPEM(t), claims, nil)
	tokens["kid_traversal"] = sign(t, jwt.SigningMethodHS512, []byte{}, claims, map[string]any{"kid": "../../../../dev/null"})
	tokens["jku_header"] = sign(t, jwt.SigningMethodHS512, other, claims, map[string]any{"jku": "http://127.0.0.1:1/jwks"})
	valid := tokens["team_a_task"]
	tokens["sig_empty"] = valid[:strings.LastIndexByte(valid, '.')+1]
	return tokens
}

func publicPEM(t *testing.T) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
