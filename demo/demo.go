// Package demo runs the fence with all its dependencies: a stub of Airflow's
// Execution API, and a metadata database of two teams. [Show] prints requests to try
// by hand; [Check] sends the access matrix.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/dagfence/dagfence/config"
)

// Show runs the demo until ctx ends, with its fence on an address, host:port, and
// its rules, by default the fence's own. It prints how to try the fence, and then
// each request that reaches upstream.
func Show(ctx context.Context, out io.Writer, listen string, rules config.Rules) (err error) {
	arrivals := log.New(out, "", log.Ltime) // may be called from several requests at once
	s, err := newStage(ctx, listen, rules, func(a arrival) { arrivals.Printf("upstream saw %s %q", a.method, a.target) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, err := io.WriteString(out, s.describe()); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	<-ctx.Done()
	return nil
}

// shell has the tokens that the demo prints, in their order.
var shell = []struct{ variable, who, whose string }{
	{"A", teamA, "task t1 of dag_a, of team_a"},
	{"M", mappedA, "task mapped of dag_a, map index 1, of team_a"},
	{"B", teamB, "task t1 of dag_b, of team_b"},
	{"G", teamless, "task t1 of dag_g, without a team"},
	{"U", unknown, "a task that is not in the database"},
	{"E", expired, "task t1 of dag_a, expired"},
}

// describe returns what runs, and lines for a shell.
func (s *stage) describe() string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintf(table, `dagfence demo: the fence, a stub of Airflow's Execution API, and a metadata database.

  fence	%s	the real handler, with its default settings
  upstream	%s	the stub; requests that reach it are printed below
  database	%s	SQLite, as Airflow 3.2 and later have it

  team_a	dag_a, dag_a2	var_a, a/b, a_delete, a_keep	conn_a
  team_b	dag_b	var_b, b/c	conn_b
  global	dag_g	global_var, global_put, global_delete, keys	global_conn
`, s.url(), s.upstream.url+string(mount), s.world.path())
	_ = table.Flush() // a strings.Builder takes everything
	text.WriteString("\nThe tokens, good for a day. Paste them into another terminal first:\n\n")
	variables := map[string]string{}
	for _, v := range shell {
		variables[v.who] = v.variable
		_, _ = fmt.Fprintf(&text, "# %s\n%s='%s'\n", v.whose, v.variable, s.world.tokens[v.who])
	}
	text.WriteString("\nThen try, line by line:\n\n")
	for _, c := range examples {
		from := "from the fence"
		if c.want.arrives {
			from = "from upstream"
		}
		_, _ = fmt.Fprintf(&text, "# %d %s: %s\n%s\n", c.want.status, from, c.why, s.curl(c, variables[c.who]))
	}
	text.WriteString("\nEverything at once: dagfence demo --check\nCtrl-C ends the demo and removes the database.\n\n")
	return text.String()
}

// curl returns the cell's request as a line for a shell.
func (s *stage) curl(c cell, variable string) string {
	words := []string{"curl -i"}
	if c.method != http.MethodGet {
		words = append(words, "-X "+c.method)
	}
	if variable != "" {
		words = append(words, `-H "Authorization: Bearer $`+variable+`"`)
	}
	if c.body != "" {
		words = append(words, "-H 'Content-Type: application/json' -d '"+c.body+"'")
	}
	return strings.Join(append(words, "'"+s.origin()+c.target+"'"), " ")
}

// url returns the URL of the Execution API at the fence.
func (s *stage) url() string { return s.origin() + string(mount) }

// origin returns the URL of the fence for clients on this machine.
func (s *stage) origin() string {
	host, port, err := net.SplitHostPort(s.address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return "http://" + net.JoinHostPort("127.0.0.1", port)
	}
	return "http://" + s.address
}
