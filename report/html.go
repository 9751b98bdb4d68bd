package report

import (
	"crypto/sha256"
	_ "embed" // the template, the style and the script
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"time"
)

//go:embed report.html
var pageText string

//go:embed report.css
var style string

//go:embed report.js
var script string

// page is the whole file: nothing is loaded from elsewhere, and its policy allows
// nothing but this style and this script.
var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"time":    shownTime,
	"visible": visible,
	"listed":  func(names []Name) []Name { return names[:min(len(names), listedNames)] },
	"rest":    func(names []Name) []Name { return names[min(len(names), listedNames):] },
}).Parse(pageText))

// hash names a text in a Content-Security-Policy (CSP Level 3, section 2.3.1).
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// listedNames is how many names of a group are shown at once.
const listedNames = 5

// maxTeams is how many teams a side of the matrix has.
const maxTeams = 40

// view is what the page shows.
type view struct {
	*Summary
	Policy string
	Style  template.CSS
	Script template.JS
	Head   []string
	Notes  []string
	Matrix matrix
	Plot   plot
	Groups []groupView
}

// groupView is a group with its names as they are shown.
type groupView struct {
	Group
	TaskName, OwnerName, What string
}

// HTML writes the summary as one file.
func (s *Summary) HTML(to io.Writer) error {
	v := view{
		Summary: s,
		Policy:  fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'", hash(style), hash(script)),
		Style:   template.CSS(style), //nolint:gosec // report.css
		Script:  template.JS(script), //nolint:gosec // report.js
		Head:    s.head(), Matrix: s.matrix(), Plot: s.Timeline.plot(),
	}
	if s.Cut != (Cut{}) {
		v.Notes = s.notes()[:1]
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		v.Groups = append(v.Groups, groupView{*g, visible(g.taskTeam()), visible(g.ownerTeam()), visible(g.what())})
	}
	return page.Execute(to, v)
}

// matrix counts denials by the task's team and the owner's.
type matrix struct {
	Owners []string
	Rows   []matrixRow
	// More is how many denials are of other teams than the most frequent.
	More int64
}

type matrixRow struct {
	Team  string
	Cells []cell
}

// cell is a count, and how much it is: 0 for none to 5 for the greatest.
type cell struct {
	Count int64
	Heat  int
}

func (s *Summary) matrix() matrix {
	var total, greatest int64
	tasks, owners, counts := make(map[string]int64), make(map[string]int64), make(map[[2]string]int64)
	for i := range s.Groups {
		g := &s.Groups[i]
		task, owner := g.taskTeam(), g.ownerTeam()
		tasks[task] += g.Count
		owners[owner] += g.Count
		counts[[2]string{task, owner}] += g.Count
		total += g.Count
	}
	for _, count := range counts {
		greatest = max(greatest, count)
	}
	m := matrix{Owners: mostOf(owners), More: total}
	for _, task := range mostOf(tasks) {
		row := matrixRow{Team: task}
		for _, owner := range m.Owners {
			count := counts[[2]string{task, owner}]
			row.Cells = append(row.Cells, cell{count, heat(count, greatest)})
			m.More -= count
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

// heat is logarithmic: a few denials are to be seen beside many.
func heat(count, greatest int64) int {
	if count == 0 {
		return 0
	}
	return 1 + int(4*math.Log1p(float64(count))/math.Log1p(float64(greatest)))
}

// mostOf returns the names with the greatest counts.
func mostOf(counts map[string]int64) []string {
	names := make([]Name, 0, len(counts))
	for name, count := range counts {
		names = append(names, Name{Name: name, Count: count})
	}
	var sorted []string
	for _, named := range mostFrequent(names) {
		sorted = append(sorted, named.Name)
	}
	return sorted[:min(len(sorted), maxTeams)]
}

// The plot's size, in the units of the SVG.
const (
	plotWidth  = 960.0
	plotHeight = 180.0
)

// plot is the timeline as bars. It is a template of rectangles: the libraries that
// draw bars (wcharczuk/go-chart, vicanso/go-charts) had their last release in 2024,
// bring fonts and image codecs, and write colours that a dark page can't change.
type plot struct {
	Width, Height float64
	Bars          []bar
	From, To      time.Time
	Step          string
	Most          int64
}

// bar is one step: what was refused, and on it what was forwarded in audit mode.
type bar struct {
	X, Width  float64
	Refused   part
	Forwarded part
	Title     string
}

// part is a part of a bar.
type part struct{ Y, Height float64 }

func (t Timeline) plot() plot {
	if len(t.Steps) == 0 {
		return plot{}
	}
	step := time.Duration(t.StepSeconds) * time.Second
	first, last := t.Steps[0].Start, t.Steps[len(t.Steps)-1].Start
	p := plot{Width: plotWidth, Height: plotHeight, From: first, To: last.Add(step), Step: words(step)}
	for _, s := range t.Steps {
		p.Most = max(p.Most, s.Refused+s.Forwarded)
	}
	width := plotWidth / float64(last.Sub(first)/step+1)
	for _, s := range t.Steps {
		refused, forwarded := p.height(s.Refused), p.height(s.Forwarded)
		p.Bars = append(p.Bars, bar{
			X: width * float64(s.Start.Sub(first)/step), Width: max(1, width-1),
			Refused:   part{plotHeight - refused, refused},
			Forwarded: part{plotHeight - refused - forwarded, forwarded},
			Title:     fmt.Sprintf("%s: %d refused, %d forwarded in audit mode", shownTime(s.Start), s.Refused, s.Forwarded),
		})
	}
	return p
}

func (p *plot) height(count int64) float64 { return plotHeight * float64(count) / float64(p.Most) }

// words returns a step's width.
func words(step time.Duration) string {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		name string
		time.Duration
	}{{"week", 7 * day}, {"day", day}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if n := step / unit.Duration; n > 1 {
			return fmt.Sprintf("%d %ss", n, unit.name)
		} else if n == 1 {
			return "a " + unit.name
		}
	}
	return step.String()
}
