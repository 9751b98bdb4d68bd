// Package proxyconfig returns the Caddy configuration that `dagfence proxy` stands
// for: one server with the fence before reverse_proxy, and one for its status.
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
	"github.com/caddyserver/caddy/v2/modules/caddytls"

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
	// maxHeaderBytes is room for the longest target and token that the fence reads
	// (64 and 8 KiB), and for what else is in a header block.
	maxHeaderBytes = 80 << 10
	// upstreamIdle is how long a connection to upstream is kept. Below the 5 s
	// after which uvicorn closes one, so that no request is sent into the close.
	upstreamIdle = 3 * time.Second
	// handshakeTimeout is how long upstream may take to agree on TLS.
	handshakeTimeout = 5 * time.Second
)

// Options are what the flags of `dagfence proxy` say.
type Options struct {
	// Listen and Status are addresses, host:port; Status may be empty.
	Listen, Status string
	// Upstream is a URL as [ParseUpstream] returns it.
	Upstream *url.URL
	// UpstreamHost is the Host header for upstream. Empty is upstream's own.
	UpstreamHost string
	// UpstreamCA, TLSCert and TLSKey are PEM files, or empty.
	UpstreamCA, TLSCert, TLSKey string
	// Fence is the handler's own configuration.
	Fence config.Config
}

func (o *Options) check() error {
	switch {
	case config.HasBareIPv6(o.UpstreamHost):
		return fmt.Errorf("invalid --upstream-host %q: an IPv6 address needs brackets: write it as [::1] or [::1]:8080", o.UpstreamHost)
	case o.UpstreamHost != "" && !isHostPort(o.UpstreamHost):
		return fmt.Errorf("invalid --upstream-host %q: must be a host, or host:port, without a scheme, such as airflow.example", o.UpstreamHost)
	case o.UpstreamCA != "" && o.Upstream.Scheme != "https":
		return errors.New("--upstream-ca does nothing over http: give --upstream as https://..., or leave it out")
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key belong together: give both, or neither to serve without TLS")
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
		return fmt.Errorf("--listen %s and --status %s are one address: give --status another port", o.Listen, o.Status)
	}
	return nil
}

// New returns the Caddy configuration that stands for the options. An error names
// the flag.
func New(o Options) (*caddy.Config, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	fence := server(o.Listen,
		caddyconfig.JSONModuleObject(caddymodule.Handler{Config: o.Fence}, "handler", "dagfence", nil),
		caddyconfig.JSONModuleObject(reverseproxy.Handler{
			TransportRaw: o.transport(),
			Upstreams:    reverseproxy.UpstreamPool{{Dial: o.Upstream.Host}},
			Headers:      o.headers(),
		}, "handler", "reverse_proxy", nil),
	)
	fence.MaxHeaderBytes = maxHeaderBytes
	servers := map[string]*caddyhttp.Server{"fence": fence}
	app := caddyhttp.App{Servers: servers, GracePeriod: caddy.Duration(gracePeriod)}
	// Nothing here has certificates of its own in a storage to look after.
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

// noPort is a port that nobody listens on.
const noPort = -1

// transport goes to upstream itself: a forward proxy of the environment would
// get the tasks' tokens.
func (o *Options) transport() json.RawMessage {
	compression := false // what upstream sends is what the task gets
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

// headers make upstream be asked by its own name, since servers that have
// several (a mesh, an ingress) go by it; and lead redirects of upstream to itself
// back to where the client asked.
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
			// Of the client's scheme, which another proxy before the fence may have changed.
			Replace: `//{http.request.hostport}$1`,
		}}}}},
	}
}

// authority is a pattern of the ways in which a server may write the Host that it
// was asked for: with a scheme's own port, or without.
func authority(host string) string {
	u := url.URL{Host: host}
	if port := u.Port(); port != "" && port != "80" && port != "443" {
		return regexp.QuoteMeta(host)
	}
	return regexp.QuoteMeta(strings.TrimSuffix(host, ":"+u.Port())) + `(?::80|:443)?`
}

// server is an HTTP server with one chain of handlers.
func server(listen string, handlers ...json.RawMessage) *caddyhttp.Server {
	return &caddyhttp.Server{
		Listen:    []string{listen},
		Routes:    caddyhttp.RouteList{{HandlersRaw: handlers}},
		AutoHTTPS: &caddyhttp.AutoHTTPSConfig{Disabled: true},
		// Without TLS, Caddy's default is HTTP/2 as well, whose preface no timeout
		// bounds.
		Protocols: []string{"h1"},

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
