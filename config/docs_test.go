package config_test

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/dagfence/dagfence/config"
)

// documented is a row of the option table in docs/configuration.md.
type documented struct{ option, standard, variable string }

func documentation(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows reads the option table; the key is the JSON path.
func rows(t *testing.T) map[string]documented {
	t.Helper()
	row := regexp.MustCompile("(?m)^\\| `([a-z_ ]+)` \\| `([a-z_.]+)` \\| [^|]+ \\| ([^|]+) \\| (?:`(\\w+)` )?\\| [^|]+ \\|$")
	found := make(map[string]documented)
	for _, cells := range row.FindAllStringSubmatch(documentation(t), -1) {
		found[cells[2]] = documented{cells[1], cells[3], cells[4]}
	}
	return found
}

func TestOptions_AreDocumented(t *testing.T) {
	t.Parallel()
	inDocs := slices.Sorted(maps.Keys(rows(t)))
	inCode := slices.Sorted(maps.Keys(fields(reflect.ValueOf(config.Config{}), "")))
	if !slices.Equal(inDocs, inCode) {
		t.Errorf("documented are %v\nthere are %v", inDocs, inCode)
	}
	for path, row := range rows(t) {
		if want := strings.TrimSuffix(strings.ReplaceAll(path, ".", " "), " url"); row.option != want {
			t.Errorf("%s stands as %q, want %q", path, row.option, want)
		}
	}
}

func TestDocumentation_HasTheDefaults(t *testing.T) {
	t.Parallel()
	documented := rows(t)
	for path, field := range fields(reflect.ValueOf(config.Config{}.WithDefaults()), "") {
		if got, want := documented[path].standard, shown(field); !strings.HasPrefix(got, want) {
			t.Errorf("%s: the documented default is %s, the default %s", path, got, want)
		}
	}
}

// shown is a value as the documentation writes it.
func shown(field reflect.Value) string {
	if field.IsZero() {
		return "none"
	}
	switch value := field.Interface().(type) {
	case string:
		return "`" + value + "`"
	case int:
		return "`" + strconv.Itoa(value) + "`"
	case []string:
		return "`" + strings.Join(value, " ") + "`"
	case caddy.Duration:
		return "`" + strings.TrimSuffix(time.Duration(value).String(), "0s") + "`"
	case *caddy.Duration:
		return "`" + time.Duration(*value).String() + "`"
	}
	return "unknown type " + field.Type().String()
}

// TestDocumentation_HasTheVariables sets one documented variable at a time, and looks
// which option it fills.
func TestDocumentation_HasTheVariables(t *testing.T) {
	t.Parallel()
	variablesOf := make(map[string]string)
	for path, row := range rows(t) {
		if row.variable != "" {
			variablesOf[row.variable] = path
		}
	}
	var asked []string
	airflow, err := config.ReadAirflow(func(name string) (string, bool) {
		variant := strings.HasSuffix(name, "_CMD") || strings.HasSuffix(name, "_SECRET")
		if strings.HasPrefix(name, "AIRFLOW__") && (!variant || name == envSecret) {
			asked = append(asked, name)
		}
		return os.DevNull, name == "AIRFLOW_CONFIG"
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = new(config.Config).FillFrom(airflow)
	// What an option was once called has no row of its own.
	asked = slices.DeleteFunc(asked, func(name string) bool {
		return variablesOf[name] == "" && strings.Contains(documentation(t), "`"+name+"`")
	})
	slices.Sort(asked)
	if inDocs := slices.Sorted(maps.Keys(variablesOf)); err != nil || !slices.Equal(asked, inDocs) {
		t.Errorf("documented are %v\nread are %v, %v", inDocs, asked, err)
	}
	for name, path := range variablesOf {
		var c config.Config
		value := "1"
		if name == envBaseURL {
			value = "https://airflow.example"
		}
		if _, err := c.FillFrom(variables{name: value}.airflow(t)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for filled, field := range fields(reflect.ValueOf(c), "") {
			if !field.IsZero() != (filled == path) {
				t.Errorf("%s: %s is %v", name, filled, field)
			}
		}
	}
}

func TestDocumentation_HasTheErrors(t *testing.T) {
	t.Parallel()
	_, block, _ := strings.Cut(documentation(t), "```text\n")
	block, _, found := strings.Cut(block, "\n```")
	if !found {
		t.Fatal("no errors are documented")
	}
	told := make(map[string]bool)
	for _, tc := range wrong {
		told[tc.want] = true
	}
	for _, tc := range wrongEnvironments {
		told[tc.want] = true
	}
	for _, tc := range unreadable {
		told[tc.want] = true
	}
	for line := range strings.Lines(block) {
		if line = strings.TrimSuffix(line, "\n"); !told[line] {
			t.Errorf("no test expects this documented error: %s", line)
		}
	}
}
