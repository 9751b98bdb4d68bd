package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Prints the version",
		Long: `
Prints the version of dagfence, the commit that it was built from, and the versions
of Caddy and Go in it. "dagfence build-info" has every module.`,
	}
	cmd.Flags().Bool("json", false, "Print JSON")
	return runs(cmd, func(flags caddycmd.Flags) error {
		if flags.Bool("json") {
			return json.NewEncoder(os.Stdout).Encode(readBuild())
		}
		_, err := fmt.Print(readBuild())
		return err
	})
}

// build is what a binary was built from. What is not known is "unknown".
type build struct {
	// Version is a module version: a tag, a pseudo-version with +dirty if files were
	// changed, or (devel) if Go recorded none.
	Version string `json:"version"`
	// Commit is a full id, or the 12 characters of a pseudo-version.
	Commit string `json:"commit"`
	Caddy  string `json:"caddy"`
	Go     string `json:"go"`
	// Platform is the operating system and the architecture.
	Platform string `json:"platform"`
}

// String returns it as lines.
func (b build) String() string {
	return fmt.Sprintf("dagfence %s\ncommit   %s\ncaddy    %s\ngo       %s %s\n", b.Version, b.Commit, b.Caddy, b.Go, b.Platform)
}

// version is set by scripts/build where there is no Git repository, as in an image.
var version string

func readBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	b := buildOf(info)
	b.Caddy, _ = caddy.Version()
	return b
}

// pseudoCommit is the commit in a pseudo-version, such as go install records for
// @main: https://go.dev/ref/mod#pseudo-versions.
var pseudoCommit = regexp.MustCompile(`[.-][0-9]{14}-([0-9a-f]{12})(?:\+|$)`)

// buildOf returns all but Caddy's version. In a checkout the commit is among the
// settings; go install with a version, and go run, record none.
func buildOf(info *debug.BuildInfo) build {
	var commit string
	if match := pseudoCommit.FindStringSubmatch(info.Main.Version); match != nil {
		commit = match[1]
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			commit = setting.Value
		}
	}
	recorded := info.Main.Version
	if recorded == "" || recorded == "(devel)" {
		recorded = cmp.Or(version, recorded, "unknown")
	}
	return build{
		Version: recorded, Commit: cmp.Or(commit, "unknown"),
		Go: cmp.Or(info.GoVersion, runtime.Version()), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}
