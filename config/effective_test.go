package config_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/config"
)

func TestEffective_SaysWhereEachSettingComesFrom(t *testing.T) {
	t.Parallel()
	given := config.Config{
		Mode: config.Audit, Database: "postgresql+psycopg2://airflow:hunter2@db:5432/airflow?sslpassword=hunter2",
		Redis: "rediss://:hunter2@cache:6379/1", Cache: config.Cache{Key: "hunter2"}, Token: config.Token{Audience: []string{"a", "b"}},
	}
	complete := given
	complete.Token.Secret, complete.MultiTeam = "hunter2", config.On
	effective := complete.WithDefaults().Effective(given, config.Origins{"token secret": "AIRFLOW__API_AUTH__JWT_SECRET", "multi_team": "airflow.cfg"})
	for option, want := range map[string]config.Setting{
		"mode":              {"audit", "configured"},
		"database":          {"postgresql+psycopg2://db:5432/airflow", "configured"},
		"redis":             {"rediss://cache:6379/1", "configured"},
		"cache key":         {"set", "configured"},
		"cache ttl":         {"5s", "default"},
		"token secret":      {"set", "AIRFLOW__API_AUTH__JWT_SECRET"},
		"token audience":    {"a b", "configured"},
		"token leeway":      {"10s", "default"},
		"multi_team":        {"on", "airflow.cfg"},
		"rules xcom_writes": {"task_instance", "default"},
		"base_path":         {"/execution", "default"},
	} {
		if got := effective[option]; got != want {
			t.Errorf("%s: %+v, want %+v", option, got, want)
		}
	}
	if content, _ := json.Marshal(effective); strings.Contains(string(content), "hunter2") {
		t.Errorf("a secret: %s", content)
	}
	if _, ok := effective["lookup"]; ok {
		t.Error("an option without a value is there")
	}
}

// TestEffective_HasNoSecret sets each text of the settings to one, and URLs to forms
// in which a password may stand anywhere.
func TestEffective_HasNoSecret(t *testing.T) {
	t.Parallel()
	secretOption := regexp.MustCompile(`secret$|key$|token$|password`)
	for _, form := range []string{
		"redis://hunter2@host", "redis://:hunter2@host", "redis://u:hunter2@host?password=hunter2", "redis://u:hun@hunter2@host", "redis://u:/hunter2@host",
		"redis://hunter2/x@host", "redis://hunter2?x@host", "redis://u:#hunter2@host", "redis://u:hunter2", "postgresql://u@h/db?password=hunter2", "x://h#hunter2",
	} {
		var c config.Config
		fill(reflect.ValueOf(&c).Elem(), form)
		for option, got := range c.Effective(c, nil) {
			url := option == "database" || option == "lookup" || option == "redis" || option == "token jwks"
			if (url || secretOption.MatchString(option) && !strings.HasSuffix(option, "public_key") && option != "lookup tls_client key") && strings.Contains(got.Value, "hunter2") {
				t.Errorf("%s %s: %s", option, form, got.Value)
			}
		}
	}
}

func fill(v reflect.Value, text string) {
	if v.Kind() == reflect.String {
		v.SetString(text)
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	}
	if v.Kind() == reflect.Struct {
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), text)
			}
		}
	}
}
