package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/caddymodule/route"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "routes",
		Usage: "[--compare <file>]",
		Short: "Lists the endpoints of the Execution API that the fence knows",
		Long: `
Lists every endpoint in the order of matching: what it touches, what it does, and
the Airflow-API-Version values that have it. No other request below base_path
reaches upstream.

With --compare it prints endpoints of an Airflow release that the list is missing,
and fails if there are any. The file is the output of scripts/airflow-routes.py.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Flags().String("compare", "", "File with the endpoints of an Airflow release")
			runs(cmd, func(flags caddycmd.Flags) error {
				show := listRoutes
				if file := flags.String("compare"); file != "" {
					show = func(to io.Writer) error { return compareRoutes(to, file) }
				}
				return show(os.Stdout)
			})
		},
	})
}

var errMissingRoutes = errors.New("the table is missing endpoints of this release: see docs/adding-an-airflow-version.md")

func compareRoutes(to io.Writer, path string) error {
	file, err := os.Open(path) //nolint:gosec // the path is the operator's own
	if err != nil {
		return fmt.Errorf("--compare: %w: write the file with scripts/airflow-routes.py", err)
	}
	defer func() { _ = file.Close() }() // it is only read
	release, err := route.ReadRelease(file)
	if err != nil {
		return fmt.Errorf("--compare: %s: %w: give a file that scripts/airflow-routes.py has written", path, err)
	}
	missing, extra := route.Compare(release)
	list := func(title string, sentences []string) {
		if len(sentences) > 0 {
			_, _ = fmt.Fprintf(to, "%s\n  %s\n", title, strings.Join(sentences, "\n  "))
		}
	}
	list("Only the table has:", extra)
	list("Missing in the table:", missing)
	if len(missing) > 0 {
		return errMissingRoutes
	}
	_, err = fmt.Fprintln(to, "The table has every endpoint of the release.")
	return err
}

func listRoutes(to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, // Flush returns the error
		"METHOD\tPATH\tTOUCHES\tACTION\tTOKEN\tSINCE\tUNTIL")
	for _, r := range route.Table() {
		token := strings.ReplaceAll(r.Scopes, ",", ", ")
		switch {
		case !r.NeedsToken():
			token = "none"
		case token == "":
			token = "execution"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%v\t%v\t%s\t%s\t%s\n", r.Method, r.Pattern, r.Kind, r.Action, token, r.Since, r.Until)
	}
	return table.Flush()
}
