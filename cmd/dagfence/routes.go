package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/dagfence/dagfence/caddymodule/route"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "routes",
		Short: "Lists the endpoints of the Execution API that the fence knows",
		Long: `
Lists every endpoint in the order in which it is tried: what it touches, what it
does, and the Airflow-API-Version values that have it. Nothing else reaches
upstream below base_path.`,
		Func: func(caddycmd.Flags) (int, error) {
			if err := listRoutes(os.Stdout); err != nil {
				return caddy.ExitCodeFailedStartup, err
			}
			return caddy.ExitCodeSuccess, nil
		},
	})
}

func listRoutes(to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, // Flush tells of errors
		"METHOD\tPATH\tTOUCHES\tACTION\tTOKEN\tSINCE\tUNTIL")
	for _, r := range route.Table() {
		token := "execution"
		switch {
		case r.Kind == route.Public:
			token = "none"
		case r.WorkloadOnly:
			token = "workload"
		case r.Workload:
			token = "execution, workload"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%v\t%v\t%s\t%s\t%s\n", r.Method, r.Pattern, r.Kind, r.Action, token, r.Since, r.Until)
	}
	return table.Flush()
}
