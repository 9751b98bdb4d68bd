// Package caddyjson reads the HTTP handlers of a Caddy configuration in JSON.
package caddyjson

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpproxy"
)

// ReverseProxy has the settings of a reverse_proxy in Caddy's JSON that matter to
// the fence in front of it.
type ReverseProxy struct {
	Transport struct {
		Protocol        string                     `json:"protocol"`
		TLS             map[string]json.RawMessage `json:"tls"`
		NetworkProxy    json.RawMessage            `json:"network_proxy"`
		ForwardProxyURL string                     `json:"forward_proxy_url"`
	} `json:"transport"`
	Upstreams []struct {
		Dial string `json:"dial"`
	} `json:"upstreams"`
	Headers struct {
		Request struct {
			Set map[string][]string `json:"set"`
		} `json:"request"`
	} `json:"headers"`
}

// Handlers returns the HTTP handlers below a node of Caddy's parsed JSON, in
// the order in which requests meet them.
func Handlers(node any) []map[string]any {
	var found []map[string]any
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			found = append(found, Handlers(item)...)
		}
	case map[string]any:
		if _, is := node["handler"].(string); is {
			found = append(found, node)
		}
		for _, key := range slices.Sorted(maps.Keys(node)) {
			found = append(found, Handlers(node[key])...)
		}
	}
	return found
}

// ReverseProxyOf decodes a handler's parsed JSON; ok is false if it is another
// handler.
func ReverseProxyOf(handler map[string]any) (proxy ReverseProxy, ok bool) {
	if handler["handler"] != "reverse_proxy" {
		return proxy, false
	}
	content, err := json.Marshal(handler)
	return proxy, err == nil && json.Unmarshal(content, &proxy) == nil
}

// Scheme returns the scheme of requests to upstream.
func (p *ReverseProxy) Scheme() string {
	if p.Transport.TLS != nil {
		return "https"
	}
	return "http"
}

// ForwardProxied returns the upstreams that are reached through a forward proxy
// only because the environment names one (net/http's HTTP_PROXY and HTTPS_PROXY,
// but for what is in NO_PROXY).
func (p *ReverseProxy) ForwardProxied() []string {
	if (p.Transport.Protocol != "" && p.Transport.Protocol != "http") || p.Transport.NetworkProxy != nil || p.Transport.ForwardProxyURL != "" {
		return nil
	}
	proxyFor := httpproxy.FromEnvironment().ProxyFunc()
	var found []string
	for _, upstream := range p.Upstreams {
		address, err := caddy.ParseNetworkAddress(caddy.NewReplacer().ReplaceKnown(upstream.Dial, ""))
		if err != nil || address.IsUnixNetwork() {
			continue
		}
		through, err := proxyFor(&url.URL{Scheme: p.Scheme(), Host: address.JoinHostPort(0)})
		if through != nil || err != nil {
			found = append(found, address.JoinHostPort(0))
		}
	}
	return found
}

// ForwardProxyVariable returns the environment variable that names the forward
// proxy, as net/http finds it.
func (p *ReverseProxy) ForwardProxyVariable() string {
	name := strings.ToUpper(p.Scheme()) + "_PROXY"
	if os.Getenv(name) == "" {
		return strings.ToLower(name)
	}
	return name
}
