package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/setup"
)

// invalidatable are the kinds of things whose owners fences keep, and the keys of one.
var invalidatable = map[string]func(name string) []resolver.Key{
	"task":       keysOf(resolver.KindTask),
	"dag":        keysOf(resolver.KindDag),
	"variable":   keysOf(resolver.KindVariable),
	"connection": keysOf(resolver.KindConnection),
	"asset":      keysOf(resolver.KindAsset, resolver.KindAssetName, resolver.KindAssetURI),
}

func keysOf(kinds ...resolver.Kind) func(string) []resolver.Key {
	return func(name string) (keys []resolver.Key) {
		for _, kind := range kinds {
			keys = append(keys, resolver.Key{Kind: kind, Name: name})
		}
		return keys
	}
}

func invalidateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "invalidate KIND NAME",
		Short: "Makes all fences on a Redis ask again who owns something",
		Long: `
Makes all fences that share a Redis forget who owns a task (its id), dag, variable,
connection or asset (its name or URI), so that they ask again at its next request.
A dag's tasks are asked for again with it. Without Redis no fence can be reached:
each asks again by itself after cache ttl, 5 seconds by default.

Run it with the fences' flags and environment, or with --config and their Caddyfile.
Fences that can't be reached at the moment ask again after cache ttl too.`,
		Example: `  dagfence invalidate variable db_url --config Caddyfile`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 || args[1] == "" {
				return fmt.Errorf("%s takes a kind and a name, such as variable db_url", cmd.CommandPath())
			}
			if invalidatable[args[0]] == nil {
				return fmt.Errorf("invalid kind%s: must be task, dag, variable, connection or asset", quoted(args[0]))
			}
			return nil
		},
	}
	cmd.Flags().String("config", "", "Caddyfile, or Caddy's JSON (.json), with the fences, instead of the flags below")
	cmd.Flags().String("redis", "", "URL of the Redis that the fences share")
	cmd.Flags().String("cache-key-file", "", "File with the cache key of those fences, if they have one")
	cmd.Flags().String("deployment", "", "The cache deployment of those fences, if they have one")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return invalidate(cmd.Context(), caddycmd.Flags{FlagSet: cmd.Flags()}, args[0], args[1])
	}
	return cmd
}

var errNoRedis = errors.New("no Redis is configured, so no fence can be reached: each asks again after cache ttl (5s by default)")

func invalidate(ctx context.Context, flags caddycmd.Flags, kind, name string) error {
	defer quitAtFirstSignal("it was invalidated")()
	buses, err := busesOf(flags)
	if err != nil {
		return err
	}
	for _, bus := range buses {
		err = errors.Join(err, bus.Invalidate(ctx, invalidatable[kind](name)...))
		bus.Close()
	}
	if err != nil {
		return err
	}
	_, err = fmt.Printf("invalidated %s %q\n", kind, name)
	return err
}

// busesOf joins the bus that the flags describe, or those of the fences in a
// configuration file.
func busesOf(flags caddycmd.Flags) ([]*resolver.Bus, error) {
	file := flags.String("config")
	if file == "" {
		settings := config.Config{Redis: flags.String("redis"), Cache: config.Cache{Deployment: flags.String("deployment")}}
		if err := settings.Replace(setup.ReplacePlaceholders); err != nil {
			return nil, err
		}
		bus, err := openBus(settings, flags.String("cache-key-file"), slog.New(slog.DiscardHandler))
		switch {
		case err != nil:
			return nil, err
		case bus == nil:
			return nil, errNoRedis
		}
		return []*resolver.Bus{bus}, nil
	}
	if err := exclusiveWithConfig(flags, "redis", "cache-key-file", "deployment"); err != nil {
		return nil, err
	}
	fences, err := configuredFences(file)
	if err != nil {
		return nil, err
	}
	var buses []*resolver.Bus
	for i := range fences {
		bus, err := busOf(fences[i].Fence)
		if err != nil {
			return nil, err
		}
		if bus != nil {
			buses = append(buses, bus)
		}
	}
	if buses == nil {
		return nil, errNoRedis
	}
	return buses, nil
}

// busOf joins the bus of a fence; nil without a Redis.
func busOf(fence config.Config) (*resolver.Bus, error) {
	settings, _, err := setup.Complete(fence, os.LookupEnv)
	if err != nil || settings.Redis == "" {
		return nil, err
	}
	secret, err := setup.SealSecret(settings)
	if err != nil {
		return nil, err
	}
	return resolver.OpenBus(setup.Redis(settings, secret), time.Duration(settings.Cache.TTL), slog.New(slog.DiscardHandler))
}
