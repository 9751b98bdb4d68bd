package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
)

// maxRows is how many groups a table has, topNames how many dags and resources of each
// are named, and maxWidth how long their names may be.
const (
	maxRows  = 50
	topNames = 3
	maxWidth = 60
)

// JSON writes the summary as one line.
func (s *Summary) JSON(to io.Writer) error { return json.NewEncoder(to).Encode(s) }

// Text writes the summary for a terminal.
func (s *Summary) Text(to io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n", strings.Join(s.head(), "\n"))
	if len(s.Groups) > 0 {
		rows := s.table(func(name string) string { return name })
		rows.SetStyle(table.StyleLight)
		fmt.Fprintf(&text, "\n%s\n", rows.Render())
	}
	for _, note := range s.notes() {
		fmt.Fprintf(&text, "\n%s\n", note)
	}
	if s.Ownership != "" {
		fmt.Fprintf(&text, "\nAn ownership file that would allow it:\n\n%s", s.Ownership)
	}
	if len(s.Unsolved) > 0 {
		fmt.Fprintf(&text, "\nNot by an ownership file:\n\n  %s\n", strings.Join(s.Unsolved, "\n  "))
	}
	_, err := io.WriteString(to, text.String())
	return err
}

// Markdown writes the summary for an issue or a wiki.
func (s *Summary) Markdown(to io.Writer) error {
	var text strings.Builder
	text.WriteString("# What the fence denies\n\n")
	for _, line := range s.head() {
		fmt.Fprintf(&text, "- %s\n", line)
	}
	if len(s.Groups) > 0 {
		fmt.Fprintf(&text, "\n%s\n", s.table(code).RenderMarkdown())
	}
	for _, note := range s.notes() {
		fmt.Fprintf(&text, "\n%s\n", note)
	}
	if s.Ownership != "" {
		fmt.Fprintf(&text, "\n## An ownership file that would allow it\n\n```yaml\n%s```\n", s.Ownership)
	}
	if len(s.Unsolved) > 0 {
		text.WriteString("\n## Not by an ownership file\n\n")
		for _, sentence := range s.Unsolved {
			fmt.Fprintf(&text, "- %s\n", code(sentence))
		}
	}
	_, err := io.WriteString(to, text.String())
	return err
}

// code returns a code span of Markdown, in which no markup counts.
func code(name string) string {
	fence := "`"
	for strings.Contains(name, fence) {
		fence += "`"
	}
	if len(fence) > 1 {
		return fence + " " + name + " " + fence
	}
	return fence + name + fence
}

// head returns the numbers, a line each.
func (s *Summary) head() []string {
	lines := []string{fmt.Sprintf("%d decisions: %d denied (%d of them forwarded, in audit mode), %d allowed, %d unavailable",
		s.Decisions, s.Denied, s.Forwarded, s.Allowed, s.Unavailable)}
	if !s.First.IsZero() {
		lines = append(lines, fmt.Sprintf("denials from %s to %s", shownTime(s.First), shownTime(s.Last)))
	}
	if s.OtherLines > 0 {
		lines = append(lines, fmt.Sprintf("%d other lines, skipped", s.OtherLines))
	}
	switch {
	case s.Decisions == 0:
		lines = append(lines, "No decisions are in these logs.")
	case s.Unavailable > 0:
		lines = append(lines, "What was unavailable was not decided: it may hide denials. dagfence check says which source does not answer.")
	case s.Denied == 0:
		lines = append(lines, "Nothing was denied. With multi_team off, as the log of the start says, teams are not compared.")
	}
	return lines
}

// notes says what was left out.
func (s *Summary) notes() []string {
	var notes []string
	if s.Cut != (Cut{}) {
		notes = append(notes, fmt.Sprintf("Left out as the less frequent: the groups of %d denials, the dags of %d, and the resources of %d.",
			s.Cut.Groups, s.Cut.Dags, s.Cut.Resources))
	}
	if more := len(s.Groups) - maxRows; more > 0 {
		notes = append(notes, fmt.Sprintf("%d more groups are in the other forms, JSON and HTML.", more))
	}
	return notes
}

// table returns the groups as a table, in which mark marks what a log names.
func (s *Summary) table(mark func(string) string) table.Writer {
	rows := table.NewWriter()
	rows.AppendHeader(table.Row{"Denied", "Task team", "Owner", "What", "Reason", "By dags", "Asked for", "First", "Last"})
	for i := range s.Groups[:min(len(s.Groups), maxRows)] {
		g := &s.Groups[i]
		rows.AppendRow(table.Row{
			g.Count, mark(printable(g.taskTeam())), mark(printable(g.ownerTeam())), mark(printable(g.what())), mark(printable(g.Reason)),
			topOf(g.Dags, mark), topOf(g.Resources, mark), shownTime(g.First), shownTime(g.Last),
		})
	}
	return rows
}

// topOf returns the most frequent names, a line each.
func topOf(names []Name, mark func(string) string) string {
	var lines []string
	for _, named := range names[:min(len(names), topNames)] {
		lines = append(lines, fmt.Sprintf("%s (%d)", mark(printable(named.Name)), named.Count))
	}
	if more := len(names) - topNames; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// visible returns a name on one line, without anything that a terminal obeys or that
// changes how others are read; a name that has such is quoted.
func visible(name string) string {
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return strconv.QuoteToGraphic(name)
		}
	}
	return name
}

// printable is [visible], and not longer than fits.
func printable(name string) string {
	name = visible(name)
	if runes := []rune(name); len(runes) > maxWidth {
		name = string(runes[:maxWidth-1]) + "…"
	}
	return name
}

// shownTime returns a time to the second, in UTC; "" for none.
func shownTime(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04:05Z")
}
