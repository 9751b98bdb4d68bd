// Package proxyconfig returns the Caddy configuration of `dagfence proxy`: a server
// with the fence before reverse_proxy, and one for its status.
package proxyconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/tracing"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/config"
)

const (
	// After SIGTERM, /ready starts failing first, for as long as a load balancer may
	// take to notice; then requests in flight have gracePeriod to end. Together they
	// are below the 30 s after which Kubernetes kills.
	readyDelay  = 2 * time.Second
	gracePeriod = 25 * time.Second
	// headerTimeout is how long a request's headers may take to arrive.
	headerTimeout = 10 * time.Second
	// maxHeaderBytes fits the longest target and token that the fence reads (64 and
	// 8 KiB), and the other headers.
	maxHeaderBytes = 80 << 10
	// upstreamIdle is how long a connection to upstream is kept: less than the 5 s
	// after which uvicorn closes it, so that no request meets the close.
	upstreamIdle = 3 * time.Second
	// handshakeTimeout bounds the TLS handshake with upstream.
	handshakeTimeout = 5 * time.Second
)

// Options are the flags of `dagfence proxy`.
type Options struct {
	// Listen and Status are addresses, host:port; Status may be empty.
	Listen, Status string
	// Upstream is a URL as [ParseUpstream] returns it.
	Upstream *url.URL
	// UpstreamHost is the Host header for upstream. Empty is upstream's own.
	UpstreamHost string
	// UpstreamCA, TLSCert and TLSKey are PEM files, or empty.
	UpstreamCA, TLSCert, TLSKey string
	// Tracing puts Caddy's handler tracing before the fence, which the environment
	// configures (OTEL_*).
	Tracing bool
	// Fence is the handler's own configuration.
	Fence config.Config
}

func (o *Options) check() error {
	switch {
	case HasBareIPv6(o.UpstreamHost):
		return errors.New("invalid --upstream-host: an IPv6 address needs brackets: write it as [::1] or [::1]:8080")
	case o.UpstreamHost != "" && !isHostPort(o.UpstreamHost):
		return errors.New("invalid --upstream-host: must be a host, or host:port, without a scheme, such as airflow.example")
	case o.UpstreamCA != "" && o.Upstream.Scheme != "https":
		return errors.New("--upstream-ca has no effect over http: set --upstream to https://..., or remove it")
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key belong together: set both, or neither to serve without TLS")
	}
	if err := CheckListen("--listen", o.Listen); err != nil {
		return err
	}
	if o.Status == "" {
		return nil
	}
	if err := CheckListen("--status", o.Status); err != nil {
		return err
	}
	if overlap(o.Listen, distinct(o.Status, o.Listen)) {
		return fmt.Errorf("--listen %s and --status %s overlap: set --status to another port", o.Listen, o.Status)
	}
	return nil
}

// New returns the Caddy configuration for the options. An error names the flag.
func New(o Options) (*caddy.Config, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var before []json.RawMessage
	if o.Tracing {
		before = append(before, caddyconfig.JSONModuleObject(tracing.Tracing{SpanName: spanName}, "handler", "tracing", nil))
	}
	fence := server(o.Listen, append(before,
		caddyconfig.JSONModuleObject(caddymodule.Handler{Config: o.Fence}, "handler", "dagfence", nil),
		caddyconfig.JSONModuleObject(reverseproxy.Handler{
			TransportRaw: o.transport(),
			Upstreams:    reverseproxy.UpstreamPool{{Dial: o.Upstream.Host}},
			Headers:      o.headers(),
		}, "handler", "reverse_proxy", nil),
	)...)
	fence.MaxHeaderBytes = maxHeaderBytes
	servers := map[string]*caddyhttp.Server{"fence": fence}
	app := caddyhttp.App{Servers: servers, GracePeriod: caddy.Duration(gracePeriod)}
	// There are no certificates in a storage to maintain.
	certificates := caddytls.TLS{DisableStorageCheck: true, DisableStorageClean: true}
	if o.TLSCert != "" {
		fence.Protocols = []string{"h1", "h2"}
		fence.TLSConnPolicies = caddytls.ConnectionPolicies{{}}
		// Caddy serves its HTTP port, 80 by default, without TLS whatever the policies.
		app.HTTPPort = noPort
		certificates.Automation = &caddytls.AutomationConfig{Policies: []*caddytls.AutomationPolicy{{
			ManagersRaw: []json.RawMessage{caddyconfig.JSONModuleObject(
				caddymodule.CertificateFiles{Cert: o.TLSCert, Key: o.TLSKey}, "via", "dagfence_files", nil)},
		}}}
	}
	if o.Status != "" {
		app.ShutdownDelay = caddy.Duration(readyDelay)
		servers["status"] = server(distinct(o.Status, o.Listen), caddyconfig.JSONModuleObject(caddymodule.Status{}, "handler", "dagfence_status", nil))
	}
	persist := false
	return &caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true, Config: &caddy.ConfigSettings{Persist: &persist}},
		Logging: queuedLogs(),
		AppsRaw: caddy.ModuleMap{
			"http": caddyconfig.JSON(app, nil),
			"tls":  caddyconfig.JSON(certificates, nil),
		},
	}, nil
}

// spanName is that of the span of a whole request.
const spanName = "dagfence"

// noPort is a port that nobody listens on.
const noPort = -1

// transport connects to upstream directly: a forward proxy of the environment would
// get the tasks' tokens.
func (o *Options) transport() json.RawMessage {
	compression := false // the task gets what upstream sends
	transport := reverseproxy.HTTPTransport{
		Compression:     &compression,
		KeepAlive:       &reverseproxy.KeepAlive{IdleConnTimeout: caddy.Duration(upstreamIdle)},
		NetworkProxyRaw: json.RawMessage(`{"from":"none"}`),
	}
	if o.Upstream.Scheme == "https" {
		transport.TLS = &reverseproxy.TLSConfig{HandshakeTimeout: caddy.Duration(handshakeTimeout)}
	}
	if o.UpstreamCA != "" {
		return caddyconfig.JSONModuleObject(
			caddymodule.Transport{HTTPTransport: transport, CAFile: o.UpstreamCA}, "protocol", "dagfence_ca_file", nil)
	}
	return caddyconfig.JSONModuleObject(transport, "protocol", "http", nil)
}

// headers sets upstream's own name as Host, which a mesh or an ingress routes by, and
// rewrites redirects of upstream to itself to the host that the client used.
func (o *Options) headers() *headers.Handler {
	own := HostOf(o.Upstream)
	host := own
	if o.UpstreamHost != "" {
		host = o.UpstreamHost
	}
	return &headers.Handler{
		Request: &headers.HeaderOps{Set: http.Header{"Host": {host}}},
		Response: &headers.RespHeaderOps{HeaderOps: &headers.HeaderOps{Replace: map[string][]headers.Replacement{"Location": {{
			SearchRegexp: `(?i)^(?:https?:)?//(?:` + authority(own) + `|` + authority(host) + `)([/?#]|$)`,
			// No scheme: another proxy before the fence may have changed the client's.
			Replace: `//{http.request.hostport}$1`,
		}}}}},
	}
}

// authority returns a pattern for the Host header's forms in a redirect: with a
// scheme's own port, or without.
func authority(host string) string {
	u := url.URL{Host: host}
	if port := u.Port(); port != "" && port != "80" && port != "443" {
		return regexp.QuoteMeta(host)
	}
	return regexp.QuoteMeta(strings.TrimSuffix(host, ":"+u.Port())) + `(?::80|:443)?`
}

// server returns an HTTP server with one chain of handlers.
func server(listen string, handlers ...json.RawMessage) *caddyhttp.Server {
	return &caddyhttp.Server{
		Listen:    []string{listen},
		Routes:    caddyhttp.RouteList{{HandlersRaw: handlers}},
		AutoHTTPS: &caddyhttp.AutoHTTPSConfig{Disabled: true},
		// Without TLS, Caddy also serves HTTP/2 by default, whose preface has no
		// timeout.
		Protocols: []string{"h1"},

		ReadHeaderTimeout: caddy.Duration(headerTimeout),
	}
}

// queuedLogs returns logging that does not block requests. It returns nil, Caddy's
// default, for a terminal, which gets another format.
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
