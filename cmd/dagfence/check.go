package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/check"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/proxyconfig"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Checks the fence's settings and its dependencies",
		Long: `
Checks the settings, the token keys against the tokens that upstream signs and
accepts, the clocks, the database and its role's grants, the lookup service,
Redis, upstream, and whether the fence can be bypassed. It prints a line for
each: ok, warning, problem or not checked, with the fix. It exits with 1 if
there is a problem. It only sends GET to upstream, and prints no secret.

Run it where the fence runs, with the fence's flags and environment, or with
--config and its Caddyfile. --fence is the URL that tasks are given ([core]
execution_api_server_url, if Airflow's own configuration has it), and
--token-file a file with the token of a running task.

Where tasks run, --direct-url is the api-server's own URL, which must not be
reachable from there, and --fence the URL that tasks are given.`,
	}
	cmd.Flags().String("config", "", "Caddyfile, or Caddy's JSON (.json), with the fence and its reverse_proxy, instead of the flags below")
	cmd.Flags().String("upstream", "", "URL of Airflow's api-server, scheme and host:port only")
	cmd.Flags().String("upstream-host", "", "Host header for upstream, as the fence sends it")
	cmd.Flags().String("upstream-ca", "", "CA certificates that upstream's certificate is verified with, PEM, as the fence has them")
	cmd.Flags().String("redis", "", "URL of the Redis that the fence uses")
	cmd.Flags().String("database", "", "SQLAlchemy URL of Airflow's metadata database, as the fence has it")
	cmd.Flags().String("lookup", "", "URL of the lookup service, instead of --database")
	cmd.Flags().String("ownership-file", "", "YAML file with owners that the database does not have")
	cmd.Flags().String("fence", "", "URL that tasks are given, such as http://fence:8081/execution/")
	cmd.Flags().String("token-file", "", "File with the token of a running task")
	cmd.Flags().String("direct-url", "", "Where tasks run: the api-server's own URL, which must not be reachable from there")
	cmd.Flags().Bool("json", false, "Print JSON, once all is checked")
	return runs(cmd, checkFence)
}

// tasksURLOf returns the flag's URL, or else that of Airflow's own configuration.
func tasksURLOf(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if airflow, err := config.ReadAirflow(os.LookupEnv); err == nil {
		return airflow.TasksURL()
	}
	return "", nil // checkConfiguration reports it
}

func checkFence(flags caddycmd.Flags) error {
	defer quitAtFirstSignal("all was checked")()
	ctx := context.Background()
	given, err := tasksURLOf(flags.String("fence"))
	if err != nil {
		return err
	}
	tasks, err := parseSite("--fence", given)
	if err != nil {
		return err
	}
	findings := &findings{to: os.Stdout, json: flags.Bool("json")}
	if direct := flags.String("direct-url"); direct != "" {
		err = checkWorker(ctx, flags, tasks, direct, findings)
	} else {
		err = checkFences(ctx, flags, tasks, findings)
	}
	if err != nil {
		return err
	}
	return findings.end()
}

func checkWorker(ctx context.Context, flags caddycmd.Flags, tasks *url.URL, direct string, findings *findings) error {
	for _, name := range []string{"config", "upstream", "upstream-host", "upstream-ca", "redis", "database", "lookup", "ownership-file", "token-file"} {
		if flags.String(name) != "" {
			return usageError{fmt.Errorf("--%s and --direct-url are mutually exclusive: --direct-url is for where tasks run, the others for where the fence runs", name)}
		}
	}
	address, err := parseSite("--direct-url", direct)
	if err != nil {
		return err
	}
	check.AtWorker(ctx, tasks, address, findings.add)
	return nil
}

func checkFences(ctx context.Context, flags caddycmd.Flags, tasks *url.URL, findings *findings) error {
	fences, err := fencesOf(flags)
	if err != nil {
		return err
	}
	token, err := tokenOf(flags.String("token-file"))
	if err != nil {
		return err
	}
	for i, fence := range fences {
		findings.begin(i+1, len(fences))
		fence.Tasks, fence.Token = tasks, token
		check.AtFence(ctx, fence, findings.add)
	}
	return nil
}

// fencesOf returns the fences to check: the one that the flags describe, or those
// of a configuration file.
func fencesOf(flags caddycmd.Flags) ([]check.Options, error) {
	fence := check.Options{UpstreamHost: flags.String("upstream-host"), Fence: flaggedSettings(flags)}
	fence.Fence.Redis = flags.String("redis")
	if file := flags.String("upstream-ca"); file != "" {
		fence.UpstreamCA = []string{file}
	}
	var upstream *url.URL
	if given := flags.String("upstream"); given != "" {
		var err error
		if upstream, err = proxyconfig.ParseUpstream(given); err != nil {
			return nil, usageError{err}
		}
	}
	file := flags.String("config")
	if file == "" {
		fence.Upstream = upstream
		if upstream != nil && fence.UpstreamHost == "" {
			fence.UpstreamHost = proxyconfig.HostOf(upstream)
		}
		return []check.Options{fence}, nil
	}
	if err := exclusiveWithConfig(flags, "redis", "database", "lookup", "ownership-file"); err != nil {
		return nil, err
	}
	fences, err := configuredFences(file)
	for i := range fences {
		if upstream != nil {
			fences[i].Upstream, fences[i].Socket = upstream, ""
			fences[i].UpstreamHost, fences[i].UpstreamCA = fence.UpstreamHost, fence.UpstreamCA
		}
	}
	return fences, err
}

// parseSite parses a URL with an optional path; nil for "".
//
//nolint:nilnil // not given is no error, and no URL
func parseSite(flag, raw string) (*url.URL, error) {
	if raw == "" {
		return nil, nil
	}
	if proxyconfig.HasBareIPv6(raw) {
		return nil, usageError{fmt.Errorf("%s: an IPv6 address needs brackets: write it as http://[::1]:8081/execution/", flag)}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
		return nil, usageError{fmt.Errorf("%s is not the URL of a server: must be scheme, host and path, such as http://fence:8081/execution/", flag)}
	}
	return u, nil
}

// tokenOf returns the task's token in a file; "" for no file.
func tokenOf(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	content, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return "", fmt.Errorf("%w: must be a readable file with a task's token", fileError("token-file", err))
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return "", errors.New("--token-file: the file is empty: write a task's token into it")
	}
	return token, nil
}
