// Package lookup is the directory of owners: what the operator's ownership
// file says, then what Airflow's metadata database knows. [Directory] answers
// inside the sidecar as the source of the chain, or behind the HTTP service
// that [Run] serves.
package lookup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/rotate"
)

// defaultTimeout bounds one [Directory.Resolve] where [Options] sets nothing.
const defaultTimeout = 2 * time.Second

// Options says where a [Directory] finds owners. Database, OwnershipFile or
// both must be set.
type Options struct {
	// Database is the metadata database's URL as Airflow's [database]
	// sql_alchemy_conn has it: PostgreSQL, MySQL, MariaDB or SQLite, with any
	// driver. Empty means none.
	Database string
	// Refresh returns Database as it is now, with the present contents of a file
	// that it is made of. Nil where it does not change.
	Refresh func() (string, error)
	// DatabaseSchema is the schema of Airflow's tables, as [database]
	// sql_alchemy_schema has it. Empty, they are sought by the search_path.
	DatabaseSchema string
	// OwnershipFile is the path of the operator's YAML file. Empty means none.
	OwnershipFile string
	// Timeout bounds one Resolve, and each statement at the database; zero means
	// [defaultTimeout].
	Timeout time.Duration
	// Logger logs the database coming and going and of the file's reloads.
	// Nil means [slog.Default].
	Logger *slog.Logger

	// now is another clock in tests; nil is [time.Now].
	now func() time.Time
}

// OptionError is what is wrong with an option of the configuration, or with what it
// leads to.
type OptionError struct {
	Option string
	Err    error
}

// Error implements error.
func (e *OptionError) Error() string { return e.Option + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *OptionError) Unwrap() error { return e.Err }

// Directory is the [resolver.Resolver] with the first authority. What the ownership
// file says wins, without asking the database: a name with an owner in it
// is Found whether or not Airflow has it.
//
// Without a database the file is all there is: what it does not name is
// NotFound, and a task, which no file can name, is Unavailable. So such a
// directory serves only tokens that carry a signed dag_id.
type Directory struct {
	metadata  *metadata      // nil without a database
	ownership *ownershipFile // nil without a file
	timeout   time.Duration
	now       func() time.Time
}

// New opens a directory; the caller must [Directory.Close] it. A broken
// ownership file, a URL that can't be used, and a database that was reached
// but is not one we can read (unknown schema, missing grant) are errors. A
// database that can't be reached yet is not: the directory is then not ready,
// and Unavailable, until it is.
func New(options Options) (*Directory, error) {
	if options.Database == "" && options.OwnershipFile == "" {
		return nil, errors.New("no ownership source configured: set database or ownership_file")
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.now == nil {
		options.now = time.Now
	}
	options.Timeout = cmp.Or(options.Timeout, defaultTimeout)
	if options.Refresh == nil {
		options.Refresh = rotate.Text(options.Database)
	}
	d := &Directory{timeout: options.Timeout, now: options.now}
	if options.Database != "" {
		m, err := openMetadata(options)
		if err != nil {
			return nil, &OptionError{"database", err}
		}
		d.metadata = m
	}
	if options.OwnershipFile != "" {
		o, err := watchOwnership(options.OwnershipFile, options.Database != "", options.Logger)
		if err != nil {
			d.Close()
			return nil, &OptionError{"ownership_file", err}
		}
		d.ownership = o
	}
	d.warnOfStrays(options.Logger)
	return d, nil
}

// Close ends the watch of the file and the connections to the database. It may
// be called more than once.
func (d *Directory) Close() {
	if d.ownership != nil {
		d.ownership.close()
	}
	if d.metadata != nil {
		d.metadata.close()
	}
}

// Ready asks the database whether every question could be answered now, and
// says why not. Without a database it is always nil. A broken ownership file
// does not end readiness, because the last good one still serves: see
// [Directory.OwnershipError].
func (d *Directory) Ready(ctx context.Context) error {
	if d.metadata == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	if _, err := d.metadata.detectSchema(ctx); err != nil {
		return &OptionError{"database", err}
	}
	return nil
}

// OwnershipError says why the ownership file's present contents are not in
// force, and the last good ones are. Nil when they are, or without a file.
func (d *Directory) OwnershipError() error {
	if d.ownership == nil {
		return nil
	}
	if err := d.ownership.lastError(); err != nil {
		return &OptionError{"ownership_file", err}
	}
	return nil
}

// Resolve answers from the file what it names and asks the database for the
// rest, all questions at once, within ctx's deadline and the timeout. It always
// asks anew: Freshness is not looked at.
func (d *Directory) Resolve(ctx context.Context, questions []resolver.Question) []resolver.Answer {
	answers := make([]resolver.Answer, len(questions))
	if err := ctx.Err(); err != nil {
		for i := range answers {
			answers[i].Err = fmt.Errorf("%w: not queried: %w", resolver.ErrUnavailable, err)
		}
		return answers
	}
	asOf, owners := d.now(), d.owners()
	var (
		keys   []resolver.Key
		places []int
	)
	for i, q := range questions {
		var settled bool
		if answers[i], settled = d.withoutDatabase(q.Key, owners, asOf); !settled {
			keys, places = append(keys, q.Key), append(places, i)
		}
	}
	if len(keys) == 0 {
		return answers
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	for i, record := range d.metadata.ask(ctx, keys) {
		answers[places[i]] = judge(keys[i], record, owners, asOf)
	}
	return answers
}

// withoutDatabase answers what needs no database, or can't have one.
func (d *Directory) withoutDatabase(key resolver.Key, owners *ownershipRules, asOf time.Time) (answer resolver.Answer, settled bool) {
	if key.Kind.IsAsset() {
		return d.assetWithoutDatabase(key, owners, asOf)
	}
	_, named := owners.of(key)
	switch {
	case key.Kind == 0:
		return unavailable("%w", resolver.ErrNotUnderstood), true
	case named && (d.metadata == nil || !d.metadata.dialect.folds):
		return fromFile(key, owners, asOf), true
	case key.Kind == resolver.KindTask && d.metadata == nil:
		return unavailable("task instances are only in the metadata database: set database"), true
	case d.metadata == nil, !storable(key.Name):
		return fromFile(key, owners, asOf), true
	}
	return resolver.Answer{}, false
}

// fromFile answers about what has no row, or whose row adds nothing: by what the
// file has of the name, and of the environment variable that Airflow reads by it.
func fromFile(key resolver.Key, owners *ownershipRules, asOf time.Time) resolver.Answer {
	answer := resolver.Answer{Outcome: resolver.NotFound, AsOf: asOf}
	if team, named := owners.of(key); named {
		answer.Outcome, answer.Team = resolver.Found, team
	}
	return withGrants(withEnvironment(answer, owners, key), owners, key)
}

// withEnvironment adds the owner of the environment variable that Airflow looks for
// by a key, in whatever spelling the file has it: Airflow looks there before it looks
// for a row. Where the file has the very key, other spellings do not count.
func withEnvironment(answer resolver.Answer, owners *ownershipRules, key resolver.Key) resolver.Answer {
	team, exact := owners.section(key.Kind).exact[key.Name]
	named, split := exact && key.Kind != resolver.KindDag, false // what is a dag's is in no environment
	if !exact {
		team, named, split = owners.inEnvironment(key)
	}
	switch {
	case split:
		return unavailable("the ownership file assigns two spellings of this %v to different teams: keep one, since Airflow reads both from one environment variable", key.Kind)
	case !named:
	case answer.Team == "":
		answer.Outcome, answer.Team = resolver.Found, team
	case team != "" && team != answer.Team:
		answer.Others = []string{team}
	}
	return answer
}

func unavailable(format string, args ...any) resolver.Answer {
	return resolver.Answer{Err: fmt.Errorf("%w: "+format, append([]any{resolver.ErrUnavailable}, args...)...)}
}

func (d *Directory) owners() *ownershipRules {
	if d.ownership == nil {
		return nil
	}
	return d.ownership.current.Load()
}

// judge turns what the database said into an answer: the file's word on the
// task's dag, then on the dag's bundle, then the database's.
func judge(key resolver.Key, r record, owners *ownershipRules, asOf time.Time) resolver.Answer {
	if r.err != nil {
		return resolver.Answer{Err: r.err}
	}
	if !r.found && !key.Kind.IsAsset() {
		return fromFile(key, owners, asOf)
	}
	answer := resolver.Answer{Outcome: resolver.Found, Team: r.team, AsOf: asOf}
	switch key.Kind {
	case resolver.KindTask:
		answer.Task, answer.Current, answer.StoredTeam = r.task, r.current, r.team
	case resolver.KindDag:
	case resolver.KindAsset, resolver.KindAssetName, resolver.KindAssetURI, resolver.KindAssetAlias:
		return judgeAsset(key, r, owners, asOf)
	case resolver.KindVariable, resolver.KindConnection:
		return judgeStored(key, r, owners, asOf)
	}
	dag := resolver.Key{Kind: resolver.KindDag, Name: r.task.DagID}
	if team, named := owners.of(dag); named {
		answer.Team = team
		return withGrants(answer, owners, dag)
	}
	if !r.dagExists {
		// A task whose dag's row is gone belongs to a team that is not known:
		// answering "unowned" would open what is global to it.
		return resolver.Answer{Outcome: resolver.NotFound, AsOf: asOf}
	}
	if team, named := owners.ofBundle(r.bundle); named {
		answer.Team = team
	}
	return withGrants(answer, owners, dag)
}

// withGrants adds what the file grants of a thing that a team owns.
func withGrants(answer resolver.Answer, owners *ownershipRules, key resolver.Key) resolver.Answer {
	if answer.Team != "" {
		answer.Grants = owners.grantsOf(key)
	}
	return answer
}

// judgeStored answers about a variable or connection that has a row: by what the file
// has of that row, which the database took the key for, or else by its team.
func judgeStored(key resolver.Key, r record, owners *ownershipRules, asOf time.Time) resolver.Answer {
	answer := resolver.Answer{Outcome: resolver.Found, Team: r.team, AsOf: asOf}
	if team, named := owners.of(resolver.Key{Kind: key.Kind, Name: r.stored}); named {
		answer.Team = team
	}
	return withEnvironment(answer, owners, key)
}

// storable reports whether Airflow's database can hold the name at all: what is
// empty, not UTF-8 or has a NUL has no row, and PostgreSQL would refuse the
// very question.
func storable(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.Contains(name, "\x00")
}
