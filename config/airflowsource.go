package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// Airflow is the configuration that Airflow's own api-server has: variables of
// its environment, then airflow.cfg, as Airflow 3 reads them.
type Airflow struct {
	environment func(string) (string, bool)
	path        string // of airflow.cfg
	file        *parsedFile
}

// ReadAirflow reads airflow.cfg where the environment says that it is:
// AIRFLOW_CONFIG, or airflow.cfg in AIRFLOW_HOME, which is ~/airflow if it is
// not set. A file that AIRFLOW_CONFIG does not name may be missing; one that
// can't be read or makes no sense is an error. environment is [os.LookupEnv], or
// a test's.
func ReadAirflow(environment func(string) (string, bool)) (*Airflow, error) {
	a := &Airflow{environment: environment, file: new(parsedFile)}
	variable, err := a.find()
	if err != nil {
		return nil, err
	}
	if err := checkConfigPath(a.path, variable); err != nil {
		return nil, err
	}
	named := variable == "AIRFLOW_CONFIG"
	content, err := os.ReadFile(a.path)
	missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	switch {
	case missing && !named:
		return a, nil
	case missing:
		return nil, fmt.Errorf("AIRFLOW_CONFIG: there is no file %q: set it to the api-server's airflow.cfg, or unset AIRFLOW_CONFIG", a.path)
	case err != nil:
		return nil, fmt.Errorf("%s: %w: let the fence read the api-server's airflow.cfg, or set AIRFLOW_CONFIG to the file that it should read (%s for none)",
			variable, err, os.DevNull)
	}
	if a.file, err = parseFile(content); err != nil {
		return nil, fmt.Errorf("%s: %w (Airflow cannot read it either)", a.path, err)
	}
	return a, nil
}

// checkConfigPath refuses what Airflow itself refuses to start with
// (configuration.py, write_default_airflow_configuration_if_needed): a directory,
// which the empty path is too.
func checkConfigPath(path, variable string) error {
	if path == "" {
		return fmt.Errorf("%s must not be empty: unset it, or set it to the api-server's airflow.cfg (%s for none)",
			variable, os.DevNull)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%s: %q is a directory: set AIRFLOW_CONFIG to the api-server's airflow.cfg (%s for none)", variable, path, os.DevNull)
	}
	return nil
}

// find sets the path of airflow.cfg, and returns the variable that leads to it:
// AIRFLOW_CONFIG names the file, and AIRFLOW_HOME its directory
// (configuration.py, get_airflow_home and get_airflow_config).
func (a *Airflow) find() (variable string, err error) {
	variable = "AIRFLOW_CONFIG"
	path, named := a.environment(variable)
	if !named {
		variable = "AIRFLOW_HOME"
		home, ok := a.environment(variable)
		if !ok {
			home = "~/airflow"
		}
		path = filepath.Join(home, "airflow.cfg")
	}
	if a.path, err = a.expand(path); err != nil {
		return variable, fmt.Errorf("%s: %w", variable, err)
	}
	return variable, nil
}

// renamed are the options that Airflow still finds by the name that they once
// had (AirflowConfigParser.deprecated_options). base_url is found so since 3.1,
// sql_alchemy_conn since 3.2.
var renamed = map[[2]string][2]string{
	{"api", "base_url"}:                  {"webserver", "base_url"},
	{"core", "execution_api_server_url"}: {"workers", "execution_api_server_url"},
	{"database", "sql_alchemy_conn"}:     {"core", "sql_alchemy_conn"},
}

// TasksURL returns the URL of the Execution API that tasks are given, empty where
// it is not set.
func (a *Airflow) TasksURL() (string, error) {
	value, origin, err := a.get("core", "execution_api_server_url")
	if err != nil {
		return "", fmt.Errorf("%s: %w", origin, err)
	}
	return value, nil
}

// get returns an option's value and where it comes from, both empty where
// nothing sets it. Airflow asks the environment first, old name included, then
// the file, and takes an empty value for one (AirflowConfigParser._lookup_sequence).
func (a *Airflow) get(section, key string) (value, origin string, err error) {
	names := [][2]string{{section, key}}
	if old, ok := renamed[names[0]]; ok {
		names = append(names, old)
	}
	for _, name := range names {
		if value, origin, err := a.inEnvironment(name); origin != "" {
			return value, origin, err
		}
	}
	for _, name := range names {
		if value, origin, err := a.inFile(name, ""); origin != "" {
			return value, origin, err
		}
	}
	for _, suffix := range []string{"_cmd", "_secret"} {
		for _, name := range names {
			if _, origin, _ := a.inFile(name, suffix); origin != "" {
				return "", origin, errIndirect
			}
		}
	}
	return "", "", nil
}

// inEnvironment has no origin where the environment does not have the option.
func (a *Airflow) inEnvironment(name [2]string) (value, origin string, err error) {
	variable := variableOf(name[0], name[1])
	if value, ok := a.environment(variable); ok {
		value, err = a.expand(value)
		return value, variable, err
	}
	for _, suffix := range []string{"_CMD", "_SECRET"} {
		if _, ok := a.environment(variable + suffix); ok {
			return "", variable + suffix, errIndirect
		}
	}
	return "", "", nil
}

// inFile has no origin where the file does not have the option.
func (a *Airflow) inFile(name [2]string, suffix string) (value, origin string, err error) {
	value, ok, err := a.file.get(name[0], name[1]+suffix)
	if !ok {
		return "", "", nil
	}
	if err == nil {
		value, err = a.expand(value)
	}
	return value, fmt.Sprintf("%s: [%s] %s%s", a.path, name[0], name[1], suffix), err
}

// errIndirect is about an option for which Airflow would run a command, or ask a
// secrets backend.
var errIndirect = errors.New("the fence runs no commands and asks no secrets backend")

func variableOf(section, key string) string {
	return strings.ToUpper("AIRFLOW__" + section + "__" + key)
}

// reference is what Python's os.path.expandvars takes for one.
var reference = regexp.MustCompile(`\$(\w+|\{[^}]*\})`)

// expand repeats until nothing changes, as Airflow does (configuration.py,
// expand_env_var).
func (a *Airflow) expand(value string) (string, error) {
	for range 10 {
		expanded := a.expandHome(reference.ReplaceAllStringFunc(value, func(ref string) string {
			name := strings.TrimSuffix(strings.TrimPrefix(ref[1:], "{"), "}")
			if known, ok := a.environment(name); ok {
				return known
			}
			return ref
		}))
		if expanded == value {
			return value, nil
		}
		value = expanded
	}
	return "", errors.New("too many nested $ references: write the value out")
}

// expandHome is os.path.expanduser: a leading ~ is HOME, or else the home of
// who runs this; ~name is the home of that user. Where there is none, it stays.
func (a *Airflow) expandHome(value string) string {
	if !strings.HasPrefix(value, "~") {
		return value
	}
	name, rest := value[1:], ""
	if i := strings.IndexByte(name, '/'); i >= 0 {
		name, rest = name[:i], name[i:]
	}
	home, ok := "", false
	if name == "" {
		home, ok = a.environment("HOME")
	}
	if !ok {
		who, err := user.Current()
		if name != "" {
			who, err = user.Lookup(name)
		}
		if err != nil {
			return value
		}
		home = who.HomeDir
	}
	return cmp.Or(strings.TrimRight(home, "/")+rest, "/")
}
