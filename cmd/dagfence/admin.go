package main

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// adminAddress returns where Caddy's admin endpoint listens with a configuration,
// as parsed JSON; "" where it is off, or on a unix socket whose permissions say
// who may use it (caddy.AdminConfig), which an abstract one lacks. An address that
// can't be read is returned as it is: Caddy says at start what is wrong with it.
func adminAddress(configuration any) string {
	var settings struct {
		Admin struct {
			Disabled bool   `json:"disabled"`
			Listen   string `json:"listen"`
		} `json:"admin"`
	}
	content, err := json.Marshal(configuration)
	if err != nil || json.Unmarshal(content, &settings) != nil || settings.Admin.Disabled {
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
