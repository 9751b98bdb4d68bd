package main_test

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	main "github.com/dagfence/dagfence/cmd/dagfence"
)

func TestVersion_IsOfTheBuild(t *testing.T) {
	t.Parallel()
	const revision = "bc9f65b0123456789abcdef0123456789abcdef0"
	vcs := []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: revision}}
	for name, tc := range map[string]struct {
		version  string
		settings []debug.BuildSetting
		want     [2]string // version and commit
	}{
		"a release in a checkout":    {"v0.1.0", vcs, [2]string{"v0.1.0", revision}},
		"go install of a release":    {"v0.1.0", nil, [2]string{"v0.1.0", "unknown"}},
		"go install of a commit":     {"v0.0.0-20261125140000-bc9f65b01234", nil, [2]string{"v0.0.0-20261125140000-bc9f65b01234", "bc9f65b01234"}},
		"a commit behind a release":  {"v0.1.1-0.20261125140000-bc9f65b01234+dirty", nil, [2]string{"v0.1.1-0.20261125140000-bc9f65b01234+dirty", "bc9f65b01234"}},
		"go build with changes":      {"v0.0.0-20261125140000-bc9f65b01234+dirty", vcs, [2]string{"v0.0.0-20261125140000-bc9f65b01234+dirty", revision}},
		"a pre-release's name":       {"v0.1.0-20261125-abcdef", nil, [2]string{"v0.1.0-20261125-abcdef", "unknown"}},
		"go run, or outside of git":  {"(devel)", nil, [2]string{"(devel)", "unknown"}},
		"without a record of either": {"", nil, [2]string{"unknown", "unknown"}},
	} {
		b := main.BuildOf(&debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: tc.version}, Settings: tc.settings})
		if got := [2]string{b.Version, b.Commit}; got != tc.want || b.Go != "go1.26.0" || b.Platform != runtime.GOOS+"/"+runtime.GOARCH {
			t.Errorf("%s: %+v, want %v", name, b, tc.want)
		}
	}
}

func TestVersion_IsThatOfTheImageWhereGitHasNone(t *testing.T) {
	*main.Version = "v0.1.0"
	defer func() { *main.Version = "" }()
	for recorded, want := range map[string]string{"(devel)": "v0.1.0", "": "v0.1.0", "v0.2.0": "v0.2.0"} {
		if got := main.BuildOf(&debug.BuildInfo{Main: debug.Module{Version: recorded}}).Version; got != want {
			t.Errorf("%q: %q, want %q", recorded, got, want)
		}
	}
}

func TestVersion_IsPrintedAsTextAndJSON(t *testing.T) {
	text, err := printed(t, "version")
	if err != nil || !strings.HasPrefix(text, "dagfence ") || !strings.Contains(text, "\ncommit   ") || !strings.Contains(text, "\ncaddy    v2.") ||
		!strings.Contains(text, "\ngo       "+runtime.Version()+" ") {
		t.Errorf("%v, %q", err, text)
	}
	flag := new(strings.Builder)
	root := main.NewRoot()
	root.SetOut(flag)
	root.SetArgs([]string{"--version"})
	if err := root.Execute(); err != nil || flag.String() != text {
		t.Errorf("--version: %v, %q, want %q", err, flag, text)
	}
	encoded, err := printed(t, "version", "--json")
	var values map[string]string
	if err != nil || json.Unmarshal([]byte(encoded), &values) != nil || len(values) != 5 || values["go"] != runtime.Version() || !strings.HasPrefix(values["caddy"], "v2.") {
		t.Errorf("%v, %q", err, encoded)
	}
}
