package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
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
		text.WriteByte('\n')
		aligned := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
		for i, row := range s.rows(func(name string) string { return name }) {
			if i == 0 {
				row = strings.Split(strings.ToUpper(strings.Join(row, "\t")), "\t")
			}
			_, _ = fmt.Fprintln(aligned, strings.Join(row, "\t")) // Flush returns the error
		}
		if err := aligned.Flush(); err != nil {
			return err
		}
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
		text.WriteByte('\n')
		for i, row := range s.rows(code) {
			fmt.Fprintf(&text, "| %s |\n", strings.Join(row, " | "))
			if i == 0 {
				fmt.Fprintf(&text, "|%s\n", strings.Repeat(" --- |", len(row)))
			}
		}
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

// code returns a code span of Markdown in a table, in which no markup counts.
func code(name string) string {
	name = strings.ReplaceAll(name, "|", `\|`) // GitHub Flavored Markdown, section 4.10
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

// rows returns the groups as rows of a table, the headings first. mark marks what a log
// names.
func (s *Summary) rows(mark func(string) string) [][]string {
	rows := [][]string{{"Denied", "Task team", "Owner", "What", "Reason", "By dags", "Asked for", "First", "Last"}}
	for i := range s.Groups[:min(len(s.Groups), maxRows)] {
		g := &s.Groups[i]
		rows = append(rows, []string{
			strconv.FormatInt(g.Count, 10), mark(printable(g.taskTeam())), mark(printable(g.ownerTeam())), mark(printable(g.what())), mark(printable(g.Reason)),
			topOf(g.Dags, mark), topOf(g.Resources, mark), shownTime(g.First), shownTime(g.Last),
		})
	}
	return rows
}

// topOf returns the most frequent names.
func topOf(names []Name, mark func(string) string) string {
	var shown []string
	for _, named := range names[:min(len(names), topNames)] {
		shown = append(shown, fmt.Sprintf("%s (%d)", mark(printable(named.Name)), named.Count))
	}
	if more := len(names) - topNames; more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(shown, ", ")
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
