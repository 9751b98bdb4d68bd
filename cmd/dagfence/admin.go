package main

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// adminAddress returns where Caddy's admin endpoint listens with a configuration
// in JSON; "" where it is off, or on a unix socket whose permissions say
// who may use it (caddy.AdminConfig), which an abstract one lacks. An address that
// can't be read is returned as it is: Caddy says at start what is wrong with it.
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
