package check

import (
	"context"
	"strings"

	"github.com/dagfence/dagfence/caddymodule"
)

// checkConfiguration completes the settings as the fence does at start. Every
// problem is a finding.
func (r *run) checkConfiguration(context.Context) {
	settings, err := caddymodule.Complete(r.Fence, r.Environment)
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			r.problem("configuration", "%s", line)
		}
		return
	}
	r.settings, r.configured = settings, true
	r.ok("configuration", "complete: base_path %s, multi_team %s", settings.BasePath, settings.MultiTeam)
}

// oneLine keeps a finding to a line: errors may be joined by line breaks, and
// drivers break and indent theirs.
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
