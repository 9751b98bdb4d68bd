package config_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/dagfence/dagfence/config"
)

func TestWithDefaults_FillsWhatIsNotSet(t *testing.T) {
	t.Parallel()
	const want = `{
	"mode": "enforce",
	"base_path": "/execution",
	"multi_team": "on",
	"token": {
		"algorithms": [
			"HS512"
		],
		"audience": [
			"urn:airflow.apache.org:task"
		],
		"leeway": 10000000000
	},
	"lookup": {
		"timeout": 2000000000
	},
	"cache": {
		"size": 100000,
		"ttl": 5000000000,
		"task_ttl": 300000000000
	},
	"rules": {
		"variables": "enforce",
		"connections": "enforce",
		"xcoms": "enforce",
		"dags": "enforce",
		"assets": "enforce",
		"xcom_writes": "task_instance",
		"global_writes": "allow",
		"teamless_tasks": "deny",
		"unknown_routes": "deny",
		"documentation": "deny"
	},
	"on_unavailable": "retry"
}`
	got, err := json.MarshalIndent(config.Config{}.WithDefaults(), "", "\t")
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestWithDefaults_KeepsWhatIsSet(t *testing.T) {
	t.Parallel()
	if got := full().WithDefaults(); !reflect.DeepEqual(got, full()) {
		t.Errorf("got %+v", got)
	}
}

func TestPublicKeys_HaveNoDefaultAlgorithm(t *testing.T) {
	t.Parallel()
	for _, token := range []config.Token{{JWKS: "x"}, {PublicKey: "x"}, {JWKS: "x", Secret: "x"}} {
		if got := (config.Config{Token: token}).WithDefaults().Token.Algorithms; len(got) != 0 {
			t.Errorf("%+v: got %v", token, got)
		}
	}
	if got := (config.Config{Token: config.Token{SecretFile: "x"}}).WithDefaults().Token.Algorithms; len(got) != 1 {
		t.Errorf("a secret: got %v", got)
	}
}
