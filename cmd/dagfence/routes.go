package main

import (
	"encoding/json"
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

func routesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "routes",
		Short: "Lists the endpoints of the Execution API that the fence knows",
		Long: `
Lists every endpoint in the order of matching: what it touches, what it does, and
the Airflow-API-Version values that have it. No other request below base_path
reaches upstream.

With --compare it prints endpoints of an Airflow release that the list is missing,
and fails if there are any. The file is the output of scripts/airflow-routes.py.`,
	}
	cmd.Flags().String("compare", "", "File with the endpoints of an Airflow release")
	cmd.Flags().Bool("json", false, "Print JSON")
	return runs(cmd, func(flags caddycmd.Flags) error {
		if file := flags.String("compare"); file != "" {
			return compareRoutes(os.Stdout, file, flags.Bool("json"))
		}
		return listRoutes(os.Stdout, flags.Bool("json"))
	})
}

// errMissingRoutes is what the command ends with after it has printed them.
var errMissingRoutes = errors.New("the table is missing endpoints of this release: see docs/adding-an-airflow-version.md")

// comparison is how the table differs from a release, in sentences.
type comparison struct {
	Missing []string `json:"missing"`
	Extra   []string `json:"extra"`
}

func compareRoutes(to io.Writer, path string, asJSON bool) error {
	file, err := os.Open(path) //nolint:gosec // the path is the operator's own
	if err != nil {
		return fmt.Errorf("%w: write the file with scripts/airflow-routes.py", fileError("compare", err))
	}
	defer func() { _ = file.Close() }() // it is only read
	release, err := route.ReadRelease(file)
	if err != nil {
		return fmt.Errorf("--compare: %s: %w: must be a file that scripts/airflow-routes.py has written", path, err)
	}
	missing, extra := route.Compare(release)
	found := comparison{Missing: append([]string{}, missing...), Extra: append([]string{}, extra...)} // [] in JSON, not null
	if asJSON {
		err = json.NewEncoder(to).Encode(found)
	} else {
		_, err = io.WriteString(to, found.String())
	}
	if err == nil && len(missing) > 0 {
		err = errMissingRoutes
	}
	return err
}

// String returns it as lines.
func (c comparison) String() string {
	var text strings.Builder
	list := func(title string, sentences []string) {
		if len(sentences) > 0 {
			fmt.Fprintf(&text, "%s\n  %s\n", title, strings.Join(sentences, "\n  "))
		}
	}
	list("Only the table has:", c.Extra)
	list("Missing in the table:", c.Missing)
	if len(c.Missing) == 0 {
		text.WriteString("The table has every endpoint of the release.\n")
	}
	return text.String()
}

// endpoint is a row of the table as it is printed.
type endpoint struct {
	Method  string `json:"method"`
	Path    string `json:"path"`
	Touches string `json:"touches"`
	Action  string `json:"action"`
	// Token is the scopes that a token may have, or "none" where none is needed.
	Token string `json:"token"`
	Since string `json:"since"`
	Until string `json:"until"`
}

func endpoints() []endpoint {
	var all []endpoint
	for _, r := range route.Table() {
		token := strings.ReplaceAll(r.Scopes, ",", ", ")
		switch {
		case !r.NeedsToken():
			token = "none"
		case token == "":
			token = "execution"
		}
		all = append(all, endpoint{r.Method, r.Pattern, r.Kind.String(), r.Action.String(), token, r.Since, r.Until})
	}
	return all
}

func listRoutes(to io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(to).Encode(endpoints())
	}
	table := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, // Flush returns the error
		"METHOD\tPATH\tTOUCHES\tACTION\tTOKEN\tSINCE\tUNTIL")
	for _, e := range endpoints() {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Method, e.Path, e.Touches, e.Action, e.Token, e.Since, e.Until)
	}
	return table.Flush()
}
