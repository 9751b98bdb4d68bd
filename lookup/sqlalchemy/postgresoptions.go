package sqlalchemy

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// postgresWants are the options that can be wrong, and what they must be. Those
// that can be wrong beside each other stand together.
var postgresWants = []struct {
	names []string
	want  string
}{
	{[]string{"port"}, "must be one port for all hosts, or one for each of them"},
	{[]string{"service"}, "must be a service in the file that PGSERVICEFILE names, or in ~/.pg_service.conf"},
	{[]string{"sslmode", "ssl"}, "must be disable, allow, prefer, require, verify-ca or verify-full"},
	{[]string{"sslrootcert"}, "must be the path of a readable PEM file with certificates, or system"},
	{[]string{"sslcertmode"}, "must be disable, allow or require"},
	{[]string{"sslcert", "sslkey", "sslpassword"}, "must be the paths of a readable PEM certificate and of its key, and the password of the key if it has one"},
	{[]string{"connect_timeout"}, "must be a number of seconds"},
	{[]string{"target_session_attrs"}, "must be any, read-write, read-only, primary, standby or prefer-standby"},
	{[]string{"min_protocol_version", "max_protocol_version"}, "must be 3.0, 3.2 or latest, and the first not above the second"},
	{[]string{"channel_binding"}, "must be disable, prefer or require"},
	{[]string{"require_auth"}, "must be libpq's names of methods, such as scram-sha-256, separated by commas"},
}

// parsePostgres is pgx's parser, but for its errors, which quote all that it was
// given.
func (u *URL) parsePostgres(settings map[string]string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(keywords(settings))
	if err != nil {
		return nil, u.optionError(settings, err)
	}
	return config, nil
}

// optionError names the option that is wrong: the one without which all others can
// be read; or else, where several are wrong, the first that can't be read by itself.
func (u *URL) optionError(settings map[string]string, cause error) error {
	fails := func(settings map[string]string) error {
		_, err := pgx.ParseConfig(keywords(settings))
		return err
	}
	only := func(names ...string) map[string]string {
		some := maps.Clone(settings)
		maps.DeleteFunc(some, func(name, _ string) bool { return !slices.Contains(names, name) })
		return some
	}
	for _, option := range postgresWants {
		others := maps.Clone(settings)
		maps.DeleteFunc(others, func(name, _ string) bool { return slices.Contains(option.names, name) })
		if len(others) < len(settings) && fails(others) == nil {
			return u.wrongOption(option.names, option.want, cause)
		}
	}
	if err := fails(only("host")); err != nil {
		return fmt.Errorf("invalid libpq environment variables (PGSSLMODE, ...) or files in the home directory%s: "+
			"correct them, or set the options in the URL", fileIn(err))
	}
	for _, option := range postgresWants {
		if err := fails(only(append([]string{"host"}, option.names...)...)); err != nil {
			return u.wrongOption(option.names, option.want, err)
		}
	}
	return errors.New("the URL's options are mutually exclusive: remove those that libpq does not accept together")
}

func (u *URL) wrongOption(names []string, want string, cause error) error {
	given := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !u.query.Has(name) })
	if len(given) == 0 {
		given = names[:1] // the port, which stands before the path
	}
	return fmt.Errorf("invalid option %s%s: %s", strings.Join(given, ", "), fileIn(cause), want)
}

// fileIn is what is wrong with a file, for behind a sentence; empty where the error
// is about something else, whose value may be a secret.
func fileIn(err error) string {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return " (" + file.Error() + ")"
	}
	return ""
}
