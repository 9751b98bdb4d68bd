package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/config"
)

// file writes an airflow.cfg.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "airflow.cfg")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// written is what real Airflow 3.3.2 writes into the airflow.cfg that it makes,
// as far as the fence reads it.
const written = `[core]
multi_team = False

[database]
# Variable: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN
#
sql_alchemy_conn = sqlite:////opt/airflow/airflow.db

[api]
# base_url =

[api_auth]
jwt_secret = hVbxfaSW19Paa9H1lsc7vA==
# trusted_jwks_url =
jwt_leeway = 10

[execution_api]
jwt_audience = urn:airflow.apache.org:task
`

func TestAirflowCfg_FillsWhatIsNotSetElsewhere(t *testing.T) {
	t.Parallel()
	path := file(t, written)
	c := config.Config{Token: config.Token{Audience: []string{"mine"}}}
	origins, err := c.FillFrom(variables{"AIRFLOW_CONFIG": path, envLeeway: "30", "HOME": "/home/airflow"}.airflow(t))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		MultiTeam: "off", Database: "sqlite:////opt/airflow/airflow.db",
		Token: config.Token{Secret: "hVbxfaSW19Paa9H1lsc7vA==", Audience: []string{"mine"}, Leeway: duration(30 * time.Second)},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if want := (config.Origins{
		"multi_team": path + ": [core] multi_team", "database": path + ": [database] sql_alchemy_conn",
		"token secret": path + ": [api_auth] jwt_secret", "token leeway": envLeeway,
	}); !reflect.DeepEqual(origins, want) {
		t.Errorf("origins are %v\nwant        %v", origins, want)
	}
}

func TestAirflowCfg_IsWhereTheEnvironmentSays(t *testing.T) {
	t.Parallel()
	home := filepath.Dir(file(t, "[api_auth]\njwt_secret = of the home"))
	if err := os.Mkdir(filepath.Join(home, "airflow"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "airflow", "airflow.cfg"), []byte("[api_auth]\njwt_secret = of ~/airflow"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := file(t, "[api_auth]\njwt_secret = other")
	for name, tc := range map[string]struct {
		env  variables
		want string
	}{
		"AIRFLOW_HOME":                     {variables{"AIRFLOW_HOME": home}, "of the home"},
		"AIRFLOW_HOME by reference":        {variables{"AIRFLOW_HOME": "$WHERE/", "WHERE": home}, "of the home"},
		"AIRFLOW_CONFIG wins":              {variables{"AIRFLOW_HOME": home, "AIRFLOW_CONFIG": other}, "other"},
		"AIRFLOW_CONFIG below ~":           {variables{"AIRFLOW_CONFIG": "~/airflow.cfg", "HOME": home}, "of the home"},
		"neither":                          {variables{"HOME": home}, "of ~/airflow"},
		"a home without one":               {variables{"AIRFLOW_HOME": t.TempDir(), "HOME": home}, ""},
		"a home that does not exist":       {variables{"AIRFLOW_HOME": "/no/such/folder", "HOME": home}, ""},
		"a home that is a file":            {variables{"AIRFLOW_HOME": other, "HOME": home}, ""},
		"none, said so":                    {variables{"AIRFLOW_CONFIG": os.DevNull, "AIRFLOW_HOME": home}, ""},
		"the environment wins":             {variables{"AIRFLOW_HOME": home, envSecret: "in the environment"}, "in the environment"},
		"an empty variable hides the file": {variables{"AIRFLOW_HOME": home, envSecret: ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			airflow, err := config.ReadAirflow(tc.env.lookup)
			if err != nil {
				t.Fatal(err)
			}
			var token config.Token
			if _, err := token.FillFrom(airflow); err != nil || token.Secret != tc.want {
				t.Errorf("got %q, %v", token.Secret, err)
			}
		})
	}
}

const neverRead = " (Airflow cannot read it either)"

// unreadable are files that are an error: named by an environment, or of a
// content, and then the error follows the path.
var unreadable = map[string]struct {
	env     variables
	content string
	want    string
}{
	"missing, and named": {
		variables{"AIRFLOW_CONFIG": "/no/such/airflow.cfg"},
		"",
		`AIRFLOW_CONFIG: there is no file "/no/such/airflow.cfg": set it to the api-server's airflow.cfg, or unset AIRFLOW_CONFIG`,
	},
	"an empty name": {
		variables{"AIRFLOW_CONFIG": ""},
		"",
		"AIRFLOW_CONFIG must not be empty: unset it, or set it to the api-server's airflow.cfg (/dev/null for none)",
	},
	"a folder": {
		variables{"AIRFLOW_CONFIG": "/"},
		"",
		`AIRFLOW_CONFIG: "/" is a directory: set AIRFLOW_CONFIG to the api-server's airflow.cfg (/dev/null for none)`,
	},
	"a name that is too long": {
		variables{"AIRFLOW_CONFIG": "/" + strings.Repeat("a", 300)},
		"",
		"AIRFLOW_CONFIG: open /" + strings.Repeat("a", 300) + ": file name too long: let the fence read the api-server's airflow.cfg, or set AIRFLOW_CONFIG to the file that it should read (/dev/null for none)",
	},
	"a name without end": {variables{"AIRFLOW_HOME": "$A/", "A": "$A/"}, "", "AIRFLOW_HOME: too many nested $ references: write the value out"},

	"no section":  {nil, "hidden = x", ": line 1: no [section] before it: add one" + neverRead},
	"a BOM":       {nil, "\ufeff[core]", ": line 1: no [section] before it: add one" + neverRead},
	"no option":   {nil, "[core]\n\nhidden", `: line 3: must be a [section], "option = value" or a comment` + neverRead},
	"no name":     {nil, "[core]\r\n= hidden", `: line 2: must be a [section], "option = value" or a comment` + neverRead},
	"two of one":  {nil, "[core]\nx = hidden\nx : hidden", ": line 3: duplicate option x: remove one" + neverRead},
	"two default": {nil, "[DEFAULT]\nx = 1\n[a]\n[DEFAULT]\nx = 1", ": line 5: duplicate option x: remove one" + neverRead},
	"two alike":   {nil, "[core]\n[core]", ": line 2: duplicate section [core]: merge them" + neverRead},
	"not UTF-8":   {nil, "[core]\nx = hidden\xff", ": it is not UTF-8" + neverRead},
}

// Each is told in a line that names the file, what is wrong and the fix, and
// quotes nothing of it.
func TestAirflowCfg_UnreadableIsAnError(t *testing.T) {
	t.Parallel()
	for name, tc := range unreadable {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, want := tc.env, tc.want
			if tc.content != "" {
				path := file(t, tc.content)
				env, want = variables{"AIRFLOW_CONFIG": path}, path+tc.want
			}
			_, err := config.ReadAirflow(env.lookup)
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// A value that is wrong is told with the place that it comes from, and without
// a secret.
func TestAirflowCfg_InvalidIsAnError(t *testing.T) {
	t.Parallel()
	const indirect = ": the fence runs no commands and asks no secrets backend: set "
	const single = ": unescaped %: write %%, or set token secret in the configuration"
	for content, want := range map[string]string{
		"[core]\nmulti_team = yes":                `: [core] multi_team: invalid boolean "yes": must be true or false, or set multi_team in the configuration`,
		"[api_auth]\njwt_secret_cmd = cat hidden": ": [api_auth] jwt_secret_cmd" + indirect + envSecret + ", or token secret in the configuration",
		"[api_auth]\njwt_secret_secret = hidden":  ": [api_auth] jwt_secret_secret" + indirect + envSecret + ", or token secret in the configuration",
		"[core]\nsql_alchemy_conn_cmd = hidden":   ": [core] sql_alchemy_conn_cmd" + indirect + envDatabase + ", or database in the configuration",
		"[api_auth]\njwt_secret = hidden%word":    ": [api_auth] jwt_secret" + single,
		"[api_auth]\njwt_secret = hidden%":        ": [api_auth] jwt_secret" + single,
		"[api_auth]\njwt_secret = hidden%(word":   ": [api_auth] jwt_secret" + single,
		"[api_auth]\njwt_secret = hidden%(word)d": ": [api_auth] jwt_secret" + single,
		"[api_auth]\njwt_secret = hidden%(word)s": ": [api_auth] jwt_secret: unknown option in a %(reference)s: " +
			"write %% for a percent sign, or set token secret in the configuration",
		"[api_auth]\njwt_secret = %(jwt_secret)s": ": [api_auth] jwt_secret: %(references)s more than 10 deep: write the value out, or set token secret in the configuration",
		"[api]\nbase_url = airflow.example/a": ": [api] base_url: invalid URL: must be absolute, such as https://host/path, or Airflow serves tasks nothing, " +
			"or set base_path in the configuration",
		"[execution_api]\njwt_audience = ,": `: [execution_api] jwt_audience: invalid list ",": must contain a name, or set token audience in the configuration`,
	} {
		t.Run(content, func(t *testing.T) {
			t.Parallel()
			path := file(t, content)
			_, err := new(config.Config).FillFrom(variables{"AIRFLOW_CONFIG": path}.airflow(t))
			if err == nil || err.Error() != path+want {
				t.Errorf("got  %v\nwant %s", err, path+want)
			}
		})
	}
}

// A command in the environment comes before a value in the file, for Airflow.
func TestEnvironmentCommand_IsAnError(t *testing.T) {
	t.Parallel()
	path := file(t, "[api_auth]\njwt_secret = s\njwt_secret_cmd = cat\n")
	var token config.Token
	_, err := token.FillFrom(variables{"AIRFLOW_CONFIG": path, envSecret + "_CMD": "cat"}.airflow(t))
	if err == nil || !strings.HasPrefix(err.Error(), envSecret+"_CMD: ") || token.Secret != "" {
		t.Errorf("got %v, secret taken %v", err, token.Secret != "")
	}
	if _, err := token.FillFrom(variables{"AIRFLOW_CONFIG": path}.airflow(t)); err != nil || token.Secret != "s" {
		t.Errorf("a value beside a command in the file: %q, %v", token.Secret, err)
	}
}

func TestDatabase_IsReadIfTheRestIsInvalid(t *testing.T) {
	t.Parallel()
	path := file(t, "[core]\nmulti_team = maybe\nsql_alchemy_conn = sqlite:////old.db\n[api_auth]\njwt_secret_cmd = cat\n")
	var c config.Config
	if err := c.FillDatabaseFrom(variables{"AIRFLOW_CONFIG": path}.airflow(t)); err != nil || c.Database != "sqlite:////old.db" {
		t.Errorf("got %q, %v", c.Database, err)
	}
	if err := c.FillDatabaseFrom(variables{envDatabase + "_CMD": "cat"}.airflow(t)); err != nil {
		t.Errorf("a database that is set: %v", err)
	}
	c = config.Config{}
	if err := c.FillDatabaseFrom(variables{envDatabase + "_CMD": "cat"}.airflow(t)); err == nil {
		t.Error("a command is taken")
	}
}

func TestTasksURL_IsReadFromAirflow(t *testing.T) {
	t.Parallel()
	const variable = "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
	path := file(t, "[workers]\nexecution_api_server_url = http://old/execution/\n")
	for name, tc := range map[string]struct {
		env  variables
		want string
	}{
		"none":         {nil, ""},
		"environment":  {variables{variable: "http://fence/execution/", "AIRFLOW_CONFIG": path}, "http://fence/execution/"},
		"the old name": {variables{"AIRFLOW_CONFIG": path}, "http://old/execution/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := tc.env.airflow(t).TasksURL(); err != nil || got != tc.want {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	if got, err := (variables{variable: "$A", "A": "$A$A"}).airflow(t).TasksURL(); err == nil || !strings.HasPrefix(err.Error(), variable+": ") {
		t.Errorf("got %q, %v", got, err)
	}
}
