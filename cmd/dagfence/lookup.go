package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/proxyconfig"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/rotate"
	"github.com/dagfence/dagfence/setup"
)

func lookupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lookup",
		Short: "Runs the lookup service, which fences ask who owns what",
		Long: `
Serves POST /v1/owners, /live, /ready and /metrics from Airflow's metadata
database, which is only read, and the ownership file, which takes precedence.
Without --database, it is that of Airflow's own configuration:
AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, or airflow.cfg.

Without --token-file and --client-ca it listens on loopback only.

With --redis it also watches the database and the file for changed owners, which
all fences on that Redis forget within a second. Messages are sealed like those of
the fences: with the cache key in --cache-key-file, else with the secret in
AIRFLOW__API_AUTH__JWT_SECRET or airflow.cfg; and for the fences' own deployment,
if they set cache deployment.`,
	}
	cmd.Flags().String("listen", "127.0.0.1:8082", "Address to listen on, host:port")
	cmd.Flags().String("database", "", "SQLAlchemy URL of Airflow's metadata database")
	cmd.Flags().String("ownership-file", "", "YAML file with owners that the database does not have")
	cmd.Flags().String("token-file", "", "File with the bearer secret that fences must send")
	cmd.Flags().String("tls-cert", "", "Certificate to serve HTTPS with, PEM")
	cmd.Flags().String("tls-key", "", "Its private key, PEM")
	cmd.Flags().String("client-ca", "", "CA certificates that fences' certificates are verified with, PEM")
	cmd.Flags().String("redis", "", "URL of the Redis that fences share, to publish changed owners to")
	cmd.Flags().String("cache-key-file", "", "File with the cache key of those fences, if they have one")
	cmd.Flags().String("deployment", "", "The cache deployment of those fences, if they have one")
	return runs(cmd, serveLookup)
}

func serveLookup(flags caddycmd.Flags) error {
	if err := proxyconfig.CheckListen("--listen", flags.String("listen")); err != nil {
		return usageError{err}
	}
	startOver := quitAtFirstSignal(started)
	out, err := caddymodule.StderrQueue{}.OpenWriter()
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(out, nil))
	options := lookup.ServerOptions{
		Listen: flags.String("listen"), TokenFile: flags.String("token-file"),
		TLSCert: flags.String("tls-cert"), TLSKey: flags.String("tls-key"), ClientCA: flags.String("client-ca"),
		Logger: logger,
	}
	if err := options.Check(); err != nil {
		return usageError{err}
	}
	settings := config.Config{
		Database: flags.String("database"), Redis: flags.String("redis"), Cache: config.Cache{Deployment: flags.String("deployment")},
	}
	if err := complete(&settings); err != nil {
		return err
	}
	bus, err := openBus(settings, flags.String("cache-key-file"), logger)
	if err != nil {
		return err
	}
	if bus != nil {
		defer bus.Close()
		options.Forget = bus.Invalidate
	}
	directory, err := lookup.New(lookup.Options{
		Database: settings.Database, Refresh: settings.Follow("database"),
		DatabaseSchema: settings.DatabaseSchema,
		OwnershipFile:  flags.String("ownership-file"), Logger: logger,
	})
	if err != nil {
		return err
	}
	defer directory.Close()
	ctx, stop := untilSignal()
	defer stop()
	startOver()
	err = lookup.Run(ctx, directory, options)
	if err == nil {
		logger.Info("lookup service ended")
	}
	return err
}

// complete replaces placeholders, and takes unset options of the database from
// Airflow's own configuration.
func complete(settings *config.Config) error {
	if err := settings.Replace(setup.ReplacePlaceholders); err != nil {
		return err
	}
	airflow, err := config.ReadAirflow(os.LookupEnv)
	if err != nil {
		return err
	}
	return settings.FillDatabaseFrom(airflow)
}

// openBus joins the bus of the fences on a Redis; nil without a Redis.
//
//nolint:nilnil // no Redis is no error, and no bus
func openBus(settings config.Config, keyFile string, logger *slog.Logger) (*resolver.Bus, error) {
	deployment := settings.Cache.Deployment
	switch {
	case settings.Redis == "" && keyFile != "":
		return nil, usageError{errors.New("--cache-key-file has no effect without --redis: set --redis, or remove it")}
	case settings.Redis == "" && deployment != "":
		return nil, usageError{errors.New("--deployment has no effect without --redis: set --redis, or remove it")}
	case settings.Redis == "":
		return nil, nil
	}
	if config.CheckDeployment(deployment) != nil {
		return nil, usageError{fmt.Errorf("invalid --deployment%s: must be up to 64 letters, digits, dots, dashes and underscores", quoted(deployment))}
	}
	secret, err := busSecret(keyFile)
	if err != nil {
		return nil, err
	}
	return resolver.OpenBus(setup.Redis(settings, secret), time.Duration(settings.WithDefaults().Cache.TTL), logger)
}

// busSecret returns the secret that the fences seal with: their cache key, or else
// the secret that they verify tokens with.
func busSecret(keyFile string) ([]byte, error) {
	if keyFile != "" {
		content, err := rotate.ReadFile(keyFile)
		if err != nil {
			return nil, fmt.Errorf("%w: must be the path of a readable file", fileError("cache-key-file", err))
		}
		// As {file.*} does, which fences read their cache key with.
		key := bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
		if len(key) == 0 {
			return nil, errors.New("--cache-key-file: the file is empty: write the cache key of the fences into it")
		}
		return key, nil
	}
	airflow, err := config.ReadAirflow(os.LookupEnv)
	if err != nil {
		return nil, err
	}
	var token config.Token
	if _, err := token.FillFrom(airflow); err != nil {
		return nil, err
	}
	if token.Secret == "" {
		return nil, errors.New("--redis: no secret to seal messages with: set --cache-key-file to the cache key of the fences, " +
			"or AIRFLOW__API_AUTH__JWT_SECRET if they have none")
	}
	return []byte(token.Secret), nil
}
