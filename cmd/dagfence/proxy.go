package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/config"
)

const (
	// At SIGTERM, /ready turns first, for as long as a load balancer may take to
	// notice; then requests in flight may take gracePeriod to end. Together they
	// stay below the 30 s after which Kubernetes kills.
	readyDelay  = 2 * time.Second
	gracePeriod = 25 * time.Second
	// headerTimeout is how long a request's headers may take to arrive.
	headerTimeout = 10 * time.Second
	// upstreamIdle is how long a connection to upstream is kept. Below the 5 s
	// after which uvicorn closes one, so that no request is sent into the close.
	upstreamIdle = 3 * time.Second
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "proxy",
		Usage: "--listen <address> --upstream <url> [--redis <url>] [--database <url>] [--lookup <url>] " +
			"[--ownership-file <file>] [--audit] [--status <address>]",
		Short: "Runs the fence as a reverse proxy, without a configuration file",
		Long: `
Runs the fence in front of an Execution API. What no flag sets comes from the
environment that Airflow's own api-server has (AIRFLOW__API_AUTH__JWT_SECRET,
AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, ...), then from its airflow.cfg
(AIRFLOW_CONFIG, AIRFLOW_HOME), then from the defaults.

--status serves /live, /ready and /metrics on an address of its own.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Flags().String("listen", ":8081", "Address to receive requests on, host:port")
			cmd.Flags().String("upstream", "", "URL of Airflow's api-server, scheme and host:port only")
			cmd.Flags().String("redis", "", "URL of a Redis that several fences share as a cache")
			cmd.Flags().String("database", "", "SQLAlchemy URL of Airflow's metadata database, which is only read")
			cmd.Flags().String("lookup", "", "URL of the lookup service, instead of --database")
			cmd.Flags().String("ownership-file", "", "YAML file that says who owns what the database does not know")
			cmd.Flags().Bool("audit", false, "Forward what would be denied, and record it")
			cmd.Flags().String("status", "", "Address to serve /live, /ready and /metrics on")
			cmd.RunE = runs(proxy)
		},
	})
}

func proxy(flags caddycmd.Flags) error {
	caddy.TrapSignals()
	quitAtSecondSignal()
	upstream, err := parseUpstream(flags.String("upstream"))
	if err != nil {
		return err
	}
	fence := config.Config{
		Redis: flags.String("redis"), Database: flags.String("database"),
		Lookup: config.Lookup{URL: flags.String("lookup")}, OwnershipFile: flags.String("ownership-file"),
	}
	if flags.Bool("audit") {
		fence.Mode = config.Audit
	}
	loaded, err := proxyConfig(flags.String("listen"), flags.String("status"), upstream, fence)
	if err != nil {
		return err
	}
	if err := caddy.Run(loaded); err != nil {
		return err
	}
	select {} // TrapSignals ends the process
}

// parseUpstream takes a URL that names a server and nothing behind it, because
// requests go there with their own path.
func parseUpstream(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("--upstream is missing: give the URL of Airflow's api-server, such as http://127.0.0.1:8080")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" {
		return nil, errors.New("--upstream is not the URL of a server: give scheme and host:port alone, such as http://127.0.0.1:8080")
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return u, nil
}

// proxyConfig is the Caddy configuration that stands for the flags.
func proxyConfig(listen, status string, upstream *url.URL, fence config.Config) (*caddy.Config, error) {
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return nil, fmt.Errorf("--listen %q is no address: give host:port or :port", listen)
	}
	compression := false // what upstream sends is what the task gets
	transport := reverseproxy.HTTPTransport{
		Compression: &compression,
		KeepAlive:   &reverseproxy.KeepAlive{IdleConnTimeout: caddy.Duration(upstreamIdle)},
	}
	if upstream.Scheme == "https" {
		transport.TLS = new(reverseproxy.TLSConfig)
	}
	servers := map[string]*caddyhttp.Server{"fence": server(listen,
		caddyconfig.JSONModuleObject(caddymodule.Handler{Config: fence}, "handler", "dagfence", nil),
		caddyconfig.JSONModuleObject(reverseproxy.Handler{
			TransportRaw: caddyconfig.JSONModuleObject(transport, "protocol", "http", nil),
			Upstreams:    reverseproxy.UpstreamPool{{Dial: upstream.Host}},
		}, "handler", "reverse_proxy", nil),
	)}
	app := caddyhttp.App{Servers: servers, GracePeriod: caddy.Duration(gracePeriod)}
	if status != "" {
		app.ShutdownDelay = caddy.Duration(readyDelay)
		if _, _, err := net.SplitHostPort(status); err != nil {
			return nil, fmt.Errorf("--status %q is no address: give host:port or :port", status)
		}
		servers["status"] = server(status, caddyconfig.JSONModuleObject(caddymodule.Status{}, "handler", "dagfence_status", nil))
	}
	persist := false
	return &caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &persist}},
		Logging: queuedLogs(),
		AppsRaw: caddy.ModuleMap{
			"http": caddyconfig.JSON(app, nil),
		},
	}, nil
}

// server is a plain HTTP server with one chain of handlers.
func server(listen string, handlers ...json.RawMessage) *caddyhttp.Server {
	return &caddyhttp.Server{
		Listen:    []string{listen},
		Routes:    caddyhttp.RouteList{{HandlersRaw: handlers}},
		AutoHTTPS: &caddyhttp.AutoHTTPSConfig{Disabled: true},

		ReadHeaderTimeout: caddy.Duration(headerTimeout),
	}
}

// queuedLogs lets no request wait for standard error, unless that is a terminal,
// for which Caddy writes another form. Nil is Caddy's default.
func queuedLogs() *caddy.Logging {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		return nil
	}
	log := caddy.BaseLog{WriterRaw: caddyconfig.JSONModuleObject(caddymodule.StderrQueue{}, "output", "dagfence_stderr", nil)}
	return &caddy.Logging{
		Sink: &caddy.SinkLog{BaseLog: log},
		Logs: map[string]*caddy.CustomLog{caddy.DefaultLoggerName: {BaseLog: log}},
	}
}
