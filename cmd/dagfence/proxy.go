package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/proxyconfig"
)

func proxyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proxy --upstream <url>",
		Short: "Runs the fence as a reverse proxy, without a configuration file",
		Long: `
Runs the fence in front of an Execution API. Options that no flag sets come from
the environment of Airflow's api-server (AIRFLOW__API_AUTH__JWT_SECRET,
AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, ...), then from its airflow.cfg
(AIRFLOW_CONFIG, AIRFLOW_HOME), then from the defaults.

With --tls-cert and --tls-key it serves HTTPS; without, tokens are sent to the
fence in clear text. These files and that of --upstream-ca are read again when
they change.

Upstream is dialed directly, whatever forward proxy the environment names. Its
Host header is the host in its URL, unless --upstream-host is set.

--status serves /live, /ready and /metrics on another address, over plain HTTP. IPv6 addresses are written in brackets: [::1]:8081.`,
	}
	cmd.Flags().String("listen", ":8081", "Address to listen on, host:port")
	cmd.Flags().String("upstream", "", "URL of Airflow's api-server, scheme and host:port only")
	cmd.Flags().String("upstream-host", "", "Host header for upstream, if not the host in its URL")
	cmd.Flags().String("upstream-ca", "", "CA certificates that upstream's certificate is verified with, PEM; the system's if not set")
	cmd.Flags().String("tls-cert", "", "Certificate to serve HTTPS with, PEM")
	cmd.Flags().String("tls-key", "", "Its private key, PEM")
	cmd.Flags().String("redis", "", "URL of a Redis that several fences share as a cache")
	cmd.Flags().String("database", "", "SQLAlchemy URL of Airflow's metadata database, which is only read")
	cmd.Flags().String("lookup", "", "URL of the lookup service, instead of --database")
	cmd.Flags().String("ownership-file", "", "YAML file with owners that the database does not have")
	cmd.Flags().Bool("audit", false, "Forward what would be denied, and record it")
	cmd.Flags().Bool("tracing", false, "Send traces with OpenTelemetry, as the environment says (OTEL_*)")
	cmd.Flags().String("status", "", "Address to serve /live, /ready and /metrics on")
	return runs(cmd, proxy)
}

func proxy(flags caddycmd.Flags) error {
	caddy.TrapSignals()
	heedSignals()
	upstream, err := proxyconfig.ParseUpstream(flags.String("upstream"))
	if err != nil {
		return usageError{err}
	}
	options := proxyconfig.Options{
		Listen: flags.String("listen"), Status: flags.String("status"),
		Upstream: upstream, UpstreamHost: flags.String("upstream-host"), UpstreamCA: flags.String("upstream-ca"),
		TLSCert: flags.String("tls-cert"), TLSKey: flags.String("tls-key"),
		Tracing: flags.Bool("tracing"),
		Fence: config.Config{
			Redis: flags.String("redis"), Database: flags.String("database"),
			Lookup: config.Lookup{URL: flags.String("lookup")}, OwnershipFile: flags.String("ownership-file"),
		},
	}
	if flags.Bool("audit") {
		options.Fence.Mode = config.Audit
	}
	loaded, err := proxyconfig.New(options)
	if err != nil {
		return usageError{err}
	}
	if err := caddy.Run(loaded); err != nil {
		return err
	}
	select {} // TrapSignals ends the process
}
