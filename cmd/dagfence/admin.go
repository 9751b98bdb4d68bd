package main

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/dagfence/dagfence/caddymodule/caddyjson"
	"github.com/dagfence/dagfence/check"
)

// warnOfBypasses logs a warning if the configuration that a command is about to load
// has a fence, and an admin endpoint that other processes can reach or routes that
// bypass the fence. It leaves errors in the configuration to the command.
func warnOfBypasses(cmd *cobra.Command, _ []string) {
	flag := func(name string) string {
		value, _ := cmd.Flags().GetString(name) // "" where there is none
		return value
	}
	configuration, err := adapted(cmp.Or(flag("config"), "Caddyfile"), flag("adapter"))
	if err != nil {
		return
	}
	servers, err := serversIn(configuration)
	if err != nil || !hasFence(servers) {
		return
	}
	logger := caddy.Log().Named("dagfence")
	if address := adminAddress(configuration); address != "" {
		logger.Warn("any process that can reach the admin endpoint can remove the fence: "+
			"write `admin off` into the global options; SIGUSR1 then reloads the configuration", zap.String("admin", address))
	}
	for _, finding := range check.Routes(servers) {
		if finding.State != check.OK {
			logger.Warn(finding.Text, zap.Stringer("state", finding.State))
		}
	}
}

func hasFence(servers map[string]any) bool {
	return slices.ContainsFunc(caddyjson.Handlers(servers), func(handler map[string]any) bool { return handler["handler"] == "dagfence" })
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
