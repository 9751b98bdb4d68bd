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
Lists every endpoint in the order in which it is tried: what it touches, what it
does, and the Airflow-API-Version values that have it. Nothing else reaches
upstream below base_path.

With --compare it says what the list lacks of an Airflow release, and fails where
that is anything; the file is what scripts/airflow-routes.py prints.`,
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

// errRoutesLack is for who compares: a release serves what the table lacks.
var errRoutesLack = errors.New("the table lacks what this release has; see docs/adding-an-airflow-version.md")

func compareRoutes(to io.Writer, path string) error {
	file, err := os.Open(path) //nolint:gosec // the path is the operator's own
	if err != nil {
		return fmt.Errorf("option --compare: %w; write it with scripts/airflow-routes.py", err)
	}
	defer func() { _ = file.Close() }() // it is only read
	release, err := route.ReadRelease(file)
	if err != nil {
		return fmt.Errorf("option --compare: %s: %w; give a file that scripts/airflow-routes.py has written", path, err)
	}
	lacks, beyond := route.Compare(release)
	list := func(title string, sentences []string) {
		if len(sentences) > 0 {
			_, _ = fmt.Fprintf(to, "%s\n  %s\n", title, strings.Join(sentences, "\n  "))
		}
	}
	list("The table has, and the release does not:", beyond)
	list("The table lacks:", lacks)
	if len(lacks) > 0 {
		return errRoutesLack
	}
	_, err = fmt.Fprintln(to, "The table has every endpoint of the release.")
	return err
}

func listRoutes(to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, // Flush tells of errors
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
