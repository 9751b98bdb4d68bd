package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/lookup"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "lookup",
		Usage: "--listen <address> [--database <url>] [--ownership-file <file>] [--token-file <file>] " +
			"[--tls-cert <file> --tls-key <file> --client-ca <file>]",
		Short: "Runs the lookup service, which tells fences who owns what",
		Long: `
Serves POST /v1/owners, /live, /ready and /metrics from Airflow's metadata
database, which is only read, and the ownership file, which wins over it.
Without --database, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN names it.

Without --token-file and --client-ca it listens on loopback only.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Flags().String("listen", "127.0.0.1:8082", "Address to receive questions on, host:port")
			cmd.Flags().String("database", "", "SQLAlchemy URL of Airflow's metadata database")
			cmd.Flags().String("ownership-file", "", "YAML file that says who owns what the database does not know")
			cmd.Flags().String("token-file", "", "File with the bearer secret that fences have to show")
			cmd.Flags().String("tls-cert", "", "Certificate to serve HTTPS with, PEM")
			cmd.Flags().String("tls-key", "", "Its private key, PEM")
			cmd.Flags().String("client-ca", "", "Authorities that a fence's own certificate has to come from, PEM")
			cmd.RunE = caddycmd.WrapCommandFuncForCobra(serveLookup)
		},
	})
}

func serveLookup(flags caddycmd.Flags) (int, error) {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	database := flags.String("database")
	if database == "" {
		database = os.Getenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")
	}
	directory, err := lookup.New(lookup.Options{
		Database: database, OwnershipFile: flags.String("ownership-file"), Logger: logger,
	})
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	defer directory.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := lookup.Run(ctx, directory, lookup.ServerOptions{
		Listen: flags.String("listen"), TokenFile: flags.String("token-file"),
		TLSCert: flags.String("tls-cert"), TLSKey: flags.String("tls-key"), ClientCA: flags.String("client-ca"),
		Logger: logger,
	}); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, nil
}
