package check

import (
	"cmp"
	"context"
	"strings"

	"github.com/dagfence/dagfence/setup"
)

// checkConfiguration completes the settings as the fence does at start. Each
// error is one finding.
func (r *run) checkConfiguration(context.Context) {
	settings, _, err := setup.Complete(r.Fence, r.environment)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			r.problem("configuration", "%s", line)
		}
		return
	}
	r.settings, r.configured = settings, true
	r.ok("configuration", "complete: base_path %s, multi_team %s", settings.BasePath, settings.MultiTeam)
}

// checkAdmin checks that Caddy's admin endpoint does not listen on TCP: what can
// reach it can load a configuration without the fence. Only a configuration file
// can enable it.
func (r *run) checkAdmin(context.Context) {
	const check = "admin endpoint"
	switch {
	case r.Admin != "":
		r.problem(check, "it listens on %s, and any process that can reach it can remove the fence: write `admin off` into the global options "+
			"(then SIGUSR1 reloads the configuration), or use a unix socket that only operators may use", r.Admin)
	case r.Configured:
		r.ok(check, "it does not listen on TCP")
	}
}

// wantHeaderBytes is the limit that a server needs for every request that Airflow
// accepts: an ExternalTaskSensor may wait for 1,000 dates at once.
const wantHeaderBytes = 64 << 10

// checkLimits checks that the server in front of the fence accepts every request
// that Airflow does.
func (r *run) checkLimits(context.Context) {
	limit := cmp.Or(r.MaxHeaderBytes, 16<<10) // Caddy's default
	switch {
	case !r.Configured:
	case limit < wantHeaderBytes:
		r.warn("limits", "requests with more than %d KiB of target and headers are answered 431 before the fence sees them, such as those of an ExternalTaskSensor "+
			"that waits for 1,000 dates: write servers { max_header_size 64KiB } into the global options", limit>>10)
	default:
		r.ok("limits", "targets and headers may have %d KiB", limit>>10)
	}
}

// oneLine puts a finding on one line: joined errors have line breaks, and drivers
// break and indent theirs.
func oneLine(text string) string {
	var line strings.Builder
	for part := range strings.SplitSeq(text, "\n") {
		if line.Len() > 0 && !strings.HasSuffix(line.String(), ":") {
			line.WriteByte(';')
		}
		if line.Len() > 0 {
			line.WriteByte(' ')
		}
		line.WriteString(strings.Join(strings.Fields(part), " "))
	}
	return line.String()
}
