package main

import (
	"errors"
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func manpageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "manpage --directory <path>",
		Short: "Writes manual pages",
		Long: `
Writes a manual page for each command into a directory, which is created if it does
not exist: dagfence.8, dagfence-proxy.8 and so on.`,
	}
	cmd.Flags().StringP("directory", "o", "", "Directory to write the pages into")
	return runs(cmd, func(flags caddycmd.Flags) error {
		dir := flags.String("directory")
		if dir == "" {
			return usageError{errors.New("--directory is missing: set it to the directory for the manual pages")}
		}
		if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // manual pages are for all to read
			return fileError("directory", err)
		}
		root := cmd.Root()
		root.DisableAutoGenTag = true // the same pages on each day
		if err := doc.GenManTree(root, &doc.GenManHeader{Title: "DAGFENCE", Section: "8"}, dir); err != nil {
			return fileError("directory", err)
		}
		return nil
	})
}
