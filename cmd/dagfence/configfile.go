package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/dagfence/dagfence/caddymodule/caddyjson"
	"github.com/dagfence/dagfence/check"
	"github.com/dagfence/dagfence/config"
)

// configuredFences returns the fences of a configuration file, each with the
// upstream of the reverse_proxy that follows it. The file is a Caddyfile, unless
// its name ends in .json.
func configuredFences(file string) ([]check.Options, error) {
	content, err := adapted(file, "")
	if err != nil {
		return nil, fileError("config", err)
	}
	servers, err := serversIn(content)
	if err != nil {
		return nil, fmt.Errorf("--config: reading the JSON: %w", err)
	}
	admin := adminAddress(content)
	var found []check.Options
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		fences, err := fencesIn(servers[name])
		if err != nil {
			return nil, fmt.Errorf("--config: %w", err)
		}
		for i := range fences {
			fences[i].Configured, fences[i].Admin = true, admin
		}
		found = append(found, fences...)
	}
	if len(found) == 0 {
		return nil, errors.New("--config: no fence is configured: write the directive dagfence into a site")
	}
	found[0].Routes = check.Routes(servers)
	return found, nil
}

// adapted returns a configuration file as Caddy's JSON. Unlike caddycmd.LoadConfig,
// it logs nothing.
func adapted(file, adapter string) ([]byte, error) {
	content, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, err
	}
	if adapter == "" && filepath.Ext(file) == ".json" {
		return content, nil
	}
	from := caddyconfig.GetAdapter(cmp.Or(adapter, "caddyfile"))
	if from == nil {
		return nil, os.ErrInvalid
	}
	content, _, err = from.Adapt(content, map[string]any{"filename": file})
	return content, err
}

// adminAddress returns where Caddy's admin endpoint listens with a configuration
// in JSON; "" where it is off, or on a unix socket whose permissions restrict it
// (caddy.AdminConfig), so not an abstract one. An invalid address is returned as it
// is: Caddy reports it at start.
func adminAddress(configuration []byte) string {
	var settings struct {
		Admin struct {
			Disabled bool   `json:"disabled"`
			Listen   string `json:"listen"`
		} `json:"admin"`
	}
	if json.Unmarshal(configuration, &settings) != nil || settings.Admin.Disabled {
		return ""
	}
	listen := caddy.NewReplacer().ReplaceKnown(settings.Admin.Listen, "")
	if listen == "" {
		listen = caddy.DefaultAdminListen
	}
	address, err := caddy.ParseNetworkAddress(listen)
	if err == nil && address.IsUnixNetwork() && !strings.HasPrefix(address.Host, "@") {
		return ""
	}
	return listen
}

// serversIn returns the HTTP servers of a configuration in JSON.
func serversIn(configuration []byte) (map[string]any, error) {
	var document struct {
		Apps struct {
			HTTP struct {
				Servers map[string]any `json:"servers"`
			} `json:"http"`
		} `json:"apps"`
	}
	err := json.Unmarshal(configuration, &document)
	return document.Apps.HTTP.Servers, err
}

// fencesIn returns the fences of a server, as parsed JSON.
func fencesIn(server any) ([]check.Options, error) {
	settings, _ := server.(map[string]any)
	limit, _ := settings["max_header_bytes"].(float64)
	var found []check.Options
	for _, handler := range caddyjson.Handlers(server) {
		if handler["handler"] == "dagfence" {
			fence, err := fenceOf(handler)
			if err != nil {
				return nil, err
			}
			found = append(found, check.Options{Fence: fence, MaxHeaderBytes: int(limit)})
			continue
		}
		proxy, ok := caddyjson.ReverseProxyOf(handler)
		if last := len(found) - 1; ok && last >= 0 && found[last].Upstream == nil {
			setUpstream(&found[last], &proxy)
		}
	}
	return found, nil
}

// fenceOf decodes a handler's settings as Caddy does: an unknown key is an error.
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

// setUpstream sets the first upstream of a reverse_proxy, and how it is reached. It
// stays unset where that is unknown, such as with other TLS settings.
func setUpstream(o *check.Options, proxy *caddyjson.ReverseProxy) {
	authorities, ok := proxyAuthorities(proxy)
	if len(proxy.Upstreams) == 0 || !ok {
		return
	}
	address, err := caddy.ParseNetworkAddress(caddy.NewReplacer().ReplaceKnown(proxy.Upstreams[0].Dial, ""))
	if err != nil {
		return
	}
	server := &url.URL{Scheme: proxy.Scheme(), Host: "localhost"}
	if address.IsUnixNetwork() {
		o.Socket = address.Host
	} else {
		if address.Host == "" || address.StartPort == 0 {
			return
		}
		server.Host = net.JoinHostPort(address.Host, fmt.Sprint(address.StartPort))
	}
	o.Upstream, o.UpstreamCA = server, authorities
	if len(proxy.ForwardProxied()) > 0 {
		o.ForwardProxy = proxy.ForwardProxyVariable()
	}
	for name, values := range proxy.Headers.Request.Set {
		if strings.EqualFold(name, "Host") && len(values) == 1 {
			o.UpstreamHost = strings.ReplaceAll(values[0], "{http.reverse_proxy.upstream.hostport}", server.Host)
			o.UpstreamHost = caddy.NewReplacer().ReplaceKnown(o.UpstreamHost, "")
			return
		}
	}
	o.PassesHost = server.Scheme == "http" // Caddy sends an HTTPS server its own name
}

// proxyAuthorities returns the PEM files of a reverse_proxy's tls_trust_pool; ok
// is false where it has any other TLS setting.
func proxyAuthorities(proxy *caddyjson.ReverseProxy) (files []string, ok bool) {
	settings := proxy.Transport.TLS
	if len(settings) == 0 {
		return nil, true
	}
	var pool struct {
		Provider string   `json:"provider"`
		Files    []string `json:"pem_files"`
	}
	if len(settings) > 1 || json.Unmarshal(settings["ca"], &pool) != nil || pool.Provider != "file" {
		return nil, false
	}
	for i, file := range pool.Files {
		pool.Files[i] = caddy.NewReplacer().ReplaceKnown(file, "")
	}
	return pool.Files, true
}
