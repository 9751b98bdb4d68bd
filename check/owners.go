package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/setup"
)

// checkOwners asks who owns what, as the fence does: the lookup service, or the
// database and the ownership file.
func (r *run) checkOwners(ctx context.Context) {
	check := "database"
	switch {
	case !r.configured:
		r.skip("owners", "needs a valid configuration")
		return
	case r.settings.Lookup.URL != "":
		check = "lookup"
	case r.settings.Database == "":
		check = "ownership_file"
	}
	source, _, closer, err := setup.OpenSource(r.settings, slog.New(slog.DiscardHandler))
	if err != nil {
		if known, ok := errors.AsType[*lookup.OptionError](err); ok {
			check, err = known.Option, known.Err
		}
		r.problem(check, "%v", err)
		return
	}
	r.closers = append(r.closers, closer)
	directory, embedded := source.(*lookup.Directory)
	switch {
	case !embedded:
		r.checkLookup(ctx, source)
	case r.settings.Database != "":
		r.checkDatabase(ctx, directory)
	default:
		r.owners = source
	}
	r.checkOwnershipFile()
}

// checkOwnershipFile checks that the file, once read, is not the only source:
// it has no task instances. Tokens that name their dag are not Airflow's.
func (r *run) checkOwnershipFile() {
	const check = "ownership_file"
	switch {
	case r.settings.OwnershipFile == "":
	case setup.KnowsNoTasks(r.settings) && (r.task == nil || r.task.Claims.DagID == ""):
		r.problem(check, "it is the only source, and has no task instances: whatever depends on a task's dag or team is refused as unavailable, "+
			"unless the token carries a signed dag_id, which Airflow's own do not: set database or lookup too")
	default:
		r.ok(check, "it can be read, and is valid")
	}
}

func (r *run) checkLookup(ctx context.Context, source resolver.Resolver) {
	const check = "lookup"
	switch answer := source.Resolve(ctx, []resolver.Question{resolver.Probe})[0]; answer.Outcome {
	case resolver.Found, resolver.NotFound:
		r.owners = source
		r.ok(check, "the service answers, and accepts the fence's credentials")
	case resolver.Denied:
		r.problem(check, "%v", answer.Err) // has its own fix
	case resolver.Unavailable:
		r.problem(check, "%v: %s", answer.Err, hintForLookup(answer.Err))
	}
}

// hintForLookup returns the fix for a service without a valid answer.
func hintForLookup(err error) string {
	if errors.Is(err, resolver.ErrNoConnection) {
		return hintFor(err, lookupTLS)
	}
	return "set the URL of a `dagfence lookup` of this release, and see its /ready and its log"
}

// checkDatabase checks that every query can be made, and that the fence's role
// has no other grants.
func (r *run) checkDatabase(ctx context.Context, directory *lookup.Directory) {
	found, err := directory.Inspect(ctx)
	if err != nil {
		if known, ok := errors.AsType[*lookup.OptionError](err); ok {
			err = known.Err
		}
		if _, ok := errors.AsType[*lookup.DatabaseError](err); ok {
			err = fmt.Errorf("%w: %s", err, hintFor(err, databaseTLS(r.settings.Database)))
		}
		r.problem("database", "%v", err)
		return
	}
	r.owners = directory
	r.ok("database", "%s with the schema of Airflow %s, and every query can be made", found.Dialect, found.Releases)
	switch {
	case found.Dialect == "sqlite":
		r.skip("grants", "SQLite has none")
	case len(found.Excess) > 0:
		r.warn("grants", "the role may %s, which the fence does not need: use the role of deploy/grants/%s.sql",
			strings.Join(found.Excess, ", "), found.Dialect)
	default:
		r.ok("grants", "the role reads neither values nor passwords, and writes nothing")
	}
	if r.settings.MultiTeam == config.On {
		r.checkTeamNames(found.TeamNames)
		for _, stray := range found.Strays {
			r.warn("teams", "%v", stray)
		}
	}
	for _, idle := range found.IdleGrants {
		r.warn("ownership_file", "%s", idle)
	}
	if found.Teams && r.settings.MultiTeam == config.Off {
		r.warn("teams", "dag bundles have teams, and multi_team is off, so the rules about teams are skipped: set multi_team on")
	}
	if !found.Teams && r.settings.MultiTeam == config.On && r.settings.OwnershipFile == "" {
		r.warn("teams", "no dag bundle has a team, so every dag is global: set a team_name for bundles in Airflow's "+
			"[dag_processor] dag_bundle_config_list, name owners in an ownership_file, or set multi_team off")
	}
}

// checkTeamNames reports teams whose secrets Airflow cannot distinguish.
func (r *run) checkTeamNames(teams []string) {
	for _, pair := range sharingEnvironment(teams) {
		r.warn("teams", "%q and %q share environment variables in Airflow itself (such as AIRFLOW_VAR__%s___X), so one may read secrets that are meant for the other: "+
			"rename one of them, or keep the secrets of both out of the environment", pair[0], pair[1], strings.ToUpper(pair[1]))
	}
}
