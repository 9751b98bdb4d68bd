package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/caddymodule"
)

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain METHOD TARGET",
		Short: "Says what the fence does with a request, and why",
		Long: `
Says what the fence would do with a request, and why, step by step: how it is
read, whose token it is, who owns what it touches, which rule decides, which
settings that depends on, and which others would change it. TARGET is the path and
query as a task sends them, base_path included.

Run it where the fence runs, with the fence's flags and environment, or with
--config and its Caddyfile: it asks the fence's own keys and sources, and never
upstream. It prints who owns what, so it is for operators.`,
		Example: `  dagfence explain GET /execution/variables/db_url --task-instance 0198c1de-7e3f-7aa2-a5d9-3e2c44f0c9b1
  dagfence explain POST /execution/dag-runs/orders/manual__1 --token-file token --config Caddyfile`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return fmt.Errorf("%s takes a method and a target, such as GET /execution/variables/my_key", cmd.CommandPath())
		},
	}
	settingsFlags(cmd)
	cmd.Flags().String("token-file", "", "File with the task's token")
	cmd.Flags().String("task-instance", "", "Id of the task instance whose token to assume, instead of --token-file")
	cmd.Flags().String("api-version", "", "Airflow-API-Version header of the request")
	cmd.Flags().Bool("json", false, "Print JSON, one object for each fence")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return explain(cmd.Context(), caddycmd.Flags{FlagSet: cmd.Flags()}, args[0], args[1])
	}
	return cmd
}

func explain(ctx context.Context, flags caddycmd.Flags, method, target string) error {
	defer quitAtFirstSignal("it was explained")()
	asked := caddymodule.ExplainRequest{
		Method: method, Target: target, APIVersion: flags.String("api-version"), TaskID: flags.String("task-instance"),
	}
	file := flags.String("token-file")
	if file != "" && asked.TaskID != "" {
		return usageError{errors.New("--token-file and --task-instance are mutually exclusive: set one")}
	}
	var err error
	if asked.Token, err = tokenOf(file); err != nil {
		return err
	}
	fences, err := settingsOf(flags)
	if err != nil {
		return err
	}
	for i, fence := range fences {
		explained, err := caddymodule.Explain(ctx, fence, asked)
		if err != nil {
			return err
		}
		if flags.Bool("json") {
			err = json.NewEncoder(os.Stdout).Encode(explained)
		} else {
			if len(fences) > 1 {
				fmt.Printf("fence %d of %d\n", i+1, len(fences))
			}
			err = printExplanation(os.Stdout, explained)
		}
		if err != nil {
			return fmt.Errorf("printing the explanation: %w", err)
		}
	}
	return nil
}

func printExplanation(to io.Writer, e *caddymodule.Explanation) error {
	var rows strings.Builder
	for _, step := range e.Steps {
		fmt.Fprintf(&rows, "%s\t%s\n", step.Step, step.Text)
	}
	outcome := e.Outcome
	switch {
	case e.Forwarded && e.Outcome != "allow":
		outcome += ", but forwarded: mode audit"
	case e.Forwarded:
		outcome += ": forwarded to upstream"
	default:
		outcome += fmt.Sprintf(": %d %s", e.Status, e.Message)
	}
	fmt.Fprintf(&rows, "result\t%s (%s)\n", outcome, e.Reason)
	for _, list := range []struct {
		name  string
		items []string
	}{{"decided by", e.DecidedBy}, {"otherwise with", e.Alternatives}} {
		if len(list.items) > 0 {
			fmt.Fprintf(&rows, "%s\t%s\n", list.name, strings.Join(list.items, "; "))
		}
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	_, err := io.WriteString(table, rows.String())
	return errors.Join(err, table.Flush())
}
