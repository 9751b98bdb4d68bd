package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/dagfence/dagfence/check"
	"github.com/dagfence/dagfence/config"
)

// configuredFences are the fences of a configuration file, each with the
// upstream of the reverse_proxy that follows it. The file is a Caddyfile, unless
// its name ends in .json.
func configuredFences(file string) ([]check.Options, error) {
	adapter := "caddyfile"
	if filepath.Ext(file) == ".json" {
		adapter = ""
	}
	content, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	var document any
	if err := json.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("--config: reading the JSON: %w", err)
	}
	var found []check.Options
	for _, handler := range handlers(document) {
		switch handler["handler"] {
		case "dagfence":
			fence, err := fenceOf(handler)
			if err != nil {
				return nil, fmt.Errorf("--config: %w", err)
			}
			found = append(found, check.Options{Fence: fence, Configured: true, Admin: adminAddress(document)})
		case "reverse_proxy":
			if last := len(found) - 1; last >= 0 && found[last].Upstream == nil {
				found[last].Upstream, found[last].Socket = proxyUpstream(handler)
			}
		}
	}
	if len(found) == 0 {
		return nil, errors.New("--config: there is no fence in it: write the directive dagfence into a site")
	}
	return found, nil
}

// handlers are the HTTP handlers below a node of Caddy's JSON, in the order in
// which requests meet them.
func handlers(node any) []map[string]any {
	var found []map[string]any
	switch node := node.(type) {
	case []any:
		for _, item := range node {
			found = append(found, handlers(item)...)
		}
	case map[string]any:
		if _, is := node["handler"].(string); is {
			found = append(found, node)
		}
		for _, key := range slices.Sorted(maps.Keys(node)) {
			found = append(found, handlers(node[key])...)
		}
	}
	return found
}

// fenceOf reads a handler's settings as Caddy does: what is not known is an
// error.
func fenceOf(handler map[string]any) (config.Config, error) {
	settings := maps.Clone(handler)
	delete(settings, "handler")
	content, err := json.Marshal(settings)
	if err != nil {
		return config.Config{}, fmt.Errorf("reading the fence's settings: %w", err)
	}
	var fence config.Config
	if err := caddy.StrictUnmarshalJSON(content, &fence); err != nil {
		return config.Config{}, fmt.Errorf("reading the fence's settings: %w", err)
	}
	return fence, nil
}

// proxyUpstream is the first upstream of a reverse_proxy: the URL of its server,
// and the unix socket that it is reached by. Nil where it can't be told, such as
// with TLS settings of the proxy's own.
func proxyUpstream(handler map[string]any) (server *url.URL, socket string) {
	var proxy struct {
		Transport struct {
			TLS map[string]any `json:"tls"`
		} `json:"transport"`
		Upstreams []struct {
			Dial string `json:"dial"`
		} `json:"upstreams"`
	}
	content, err := json.Marshal(handler)
	if err != nil || json.Unmarshal(content, &proxy) != nil || len(proxy.Upstreams) == 0 || len(proxy.Transport.TLS) > 0 {
		return nil, ""
	}
	address, err := caddy.ParseNetworkAddress(caddy.NewReplacer().ReplaceKnown(proxy.Upstreams[0].Dial, ""))
	if err != nil {
		return nil, ""
	}
	server = &url.URL{Scheme: "http"}
	if proxy.Transport.TLS != nil {
		server.Scheme = "https"
	}
	if address.IsUnixNetwork() {
		server.Host = "localhost"
		return server, address.Host
	}
	if address.Host == "" || address.StartPort == 0 {
		return nil, ""
	}
	server.Host = net.JoinHostPort(address.Host, fmt.Sprint(address.StartPort))
	return server, ""
}
