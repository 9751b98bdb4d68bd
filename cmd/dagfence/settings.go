package main

import (
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/config"
)

// settingsFlags adds the flags that [settingsOf] reads.
func settingsFlags(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "Caddyfile, or Caddy's JSON (.json), with the fence, instead of the flags below")
	cmd.Flags().String("database", "", "SQLAlchemy URL of Airflow's metadata database, as the fence has it")
	cmd.Flags().String("lookup", "", "URL of the lookup service, instead of --database")
	cmd.Flags().String("ownership-file", "", "YAML file with owners that the database does not have")
}

// settingsOf returns the settings of the fence that the flags describe, or of those
// in a configuration file.
func settingsOf(flags caddycmd.Flags) ([]config.Config, error) {
	file := flags.String("config")
	if file == "" {
		return []config.Config{flaggedSettings(flags)}, nil
	}
	if err := exclusiveWithConfig(flags, "database", "lookup", "ownership-file"); err != nil {
		return nil, err
	}
	fences, err := configuredFences(file)
	settings := make([]config.Config, len(fences))
	for i := range fences {
		settings[i] = fences[i].Fence
	}
	return settings, err
}

// flaggedSettings returns the settings that say who owns what.
func flaggedSettings(flags caddycmd.Flags) config.Config {
	return config.Config{
		Database: flags.String("database"),
		Lookup:   config.Lookup{URL: flags.String("lookup")}, OwnershipFile: flags.String("ownership-file"),
	}
}

// exclusiveWithConfig returns an error if one of the flags is set that a configuration
// file has an option for.
func exclusiveWithConfig(flags caddycmd.Flags, names ...string) error {
	for _, name := range names {
		if flags.String(name) != "" {
			return usageError{fmt.Errorf("--%s and --config are mutually exclusive: set it in the configuration file", name)}
		}
	}
	return nil
}
