package report

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
)

// What is kept while logs are read. A name is at most as long as the fence logs it,
// and maxLine is many times the longest decision.
const (
	maxGroups = 1000
	maxNames  = 20_000
	maxName   = 515
	maxLine   = 256 << 10
	// maxShown is how many dags and resources a group of a summary has.
	maxShown = 100
)

// logger is the name that every decision has in a log.
const logger = "http.handlers.dagfence.decisions"

var (
	loggerInLine = []byte(`"` + logger + `"`)
	// allowedInLine can't be a part of a value: there, its quotes are escaped.
	allowedInLine = []byte(`"decision":"allow"`)
)

// ErrNoJSON is the error about a log without a line of JSON.
var ErrNoJSON = errors.New("no line is JSON: must be the log of a fence with `format json`, plain or compressed with gzip or zstd")

// record is what counts of a line of the log: docs/decision-log.md.
type record struct {
	Time      timestamp `json:"ts"`
	Logger    string    `json:"logger"`
	Decision  string    `json:"decision"`
	Reason    string    `json:"reason"`
	Forwarded bool      `json:"forwarded"`
	Kind      string    `json:"kind"`
	Action    string    `json:"action"`
	Resource  string    `json:"resource"`
	DagID     string    `json:"dag_id"`
	TaskTeam  *string   `json:"task_team"`
	OwnerTeam *string   `json:"owner_team"`
}

// groupKey is what denials have in common in a [Group].
type groupKey struct {
	taskTeam, ownerTeam team
	kind, action        string
	reason              string
}

// team is a comparable *string.
type team struct {
	name  string
	known bool
}

func teamOf(name *string) team {
	if name == nil {
		return team{}
	}
	return team{clip(*name), true}
}

func (t team) pointer() *string {
	if !t.known {
		return nil
	}
	return &t.name
}

// nameKey is a dag or a resource in a group.
type nameKey struct {
	group groupKey
	isDag bool
	name  string
}

// A Collector reads logs and sums them up, in bounded memory. The zero value is not
// ready: use [NewCollector].
type Collector struct {
	total    Summary
	all      seen
	groups   *tally[groupKey]
	names    *tally[nameKey]
	timeline timeline
}

// NewCollector returns a collector that has read nothing.
func NewCollector() *Collector {
	return &Collector{groups: newTally[groupKey](maxGroups), names: newTally[nameKey](maxNames)}
}

// Read reads a log to its end, compressed or not. What was read before an error
// counts. The error is [ErrNoJSON] if no line was JSON, in a log that has lines.
func (c *Collector) Read(log io.Reader) error {
	plain, err := decompressed(log)
	if err != nil {
		return err
	}
	defer plain.Close() //nolint:errcheck // only read
	lines, isJSON := bufio.NewReaderSize(plain, maxLine), false
	before := c.total.OtherLines
	for {
		line, err := lines.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		if line = bytes.TrimSpace(line); long {
			c.total.OtherLines++
		} else if len(line) > 0 {
			isJSON = isJSON || json.Valid(line)
			c.add(line)
		}
		switch {
		case errors.Is(err, io.EOF):
			if !isJSON && c.total.OtherLines > before {
				return ErrNoJSON
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// add counts a line.
func (c *Collector) add(line []byte) {
	if !bytes.Contains(line, loggerInLine) {
		c.total.OtherLines++
		return
	}
	if bytes.Contains(line, allowedInLine) {
		c.total.Decisions++
		c.total.Allowed++
		return
	}
	var r record
	if err := json.Unmarshal(line, &r); err != nil || r.Logger != logger || r.Decision == "" {
		c.total.OtherLines++
		return
	}
	c.total.Decisions++
	switch r.Decision {
	case "allow":
		c.total.Allowed++
	case "unavailable":
		c.total.Unavailable++
	default:
		c.deny(&r)
	}
}

// deny counts a denial.
func (c *Collector) deny(r *record) {
	c.total.Denied++
	at := r.Time.Time
	c.all.add(at, r.Forwarded)
	c.timeline.add(at, r.Forwarded)
	group := groupKey{
		taskTeam: teamOf(r.TaskTeam), ownerTeam: teamOf(r.OwnerTeam),
		kind: clip(r.Kind), action: clip(r.Action), reason: clip(r.Reason),
	}
	c.groups.add(group, at, r.Forwarded)
	if r.DagID != "" {
		c.total.Cut.Dags++ // until it is shown
		c.names.add(nameKey{group, true, clip(r.DagID)}, at, r.Forwarded)
	}
	if r.Resource != "" {
		c.total.Cut.Resources++
		c.names.add(nameKey{group, false, clip(r.Resource)}, at, r.Forwarded)
	}
}

func clip(name string) string {
	if len(name) > maxName {
		return name[:maxName-len(ellipsis)] + ellipsis
	}
	return name
}

// ellipsis ends a name that is longer than what is logged of it.
const ellipsis = "..."

// Summary returns what was read so far.
func (c *Collector) Summary() *Summary {
	s := c.total
	s.Forwarded, s.First, s.Last = c.all.forwarded, c.all.first, c.all.last
	s.Timeline = c.timeline.summary()
	c.groups.cut()
	groups := make(map[groupKey]*Group, len(c.groups.kept))
	s.Cut.Groups = s.Denied
	for key, of := range c.groups.kept {
		groups[key] = &Group{
			TaskTeam: key.taskTeam.pointer(), OwnerTeam: key.ownerTeam.pointer(), Kind: key.kind, Action: key.action, Reason: key.reason,
			Why: why(key.reason), Count: of.count, Forwarded: of.forwarded, First: of.first, Last: of.last,
			Dags: []Name{}, Resources: []Name{},
		}
		s.Cut.Groups -= of.count
	}
	for key, of := range c.names.kept {
		if group := groups[key.group]; group != nil {
			named := Name{Name: key.name, Count: of.count, First: of.first, Last: of.last}
			if key.isDag {
				group.Dags = append(group.Dags, named)
			} else {
				group.Resources = append(group.Resources, named)
			}
		}
	}
	s.Groups = make([]Group, 0, len(groups))
	for _, group := range groups {
		group.Dags = mostFrequent(group.Dags)
		group.Resources = mostFrequent(group.Resources)
		s.Cut.Dags -= sum(group.Dags)
		s.Cut.Resources -= sum(group.Resources)
		s.Groups = append(s.Groups, *group)
	}
	slices.SortFunc(s.Groups, compareGroups)
	s.Ownership, s.Unsolved = ownership(s.Groups)
	return &s
}

// mostFrequent sorts names, and returns the first of them.
func mostFrequent(names []Name) []Name {
	slices.SortFunc(names, func(a, b Name) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return names[:min(len(names), maxShown)]
}

func sum(names []Name) (count int64) {
	for _, name := range names {
		count += name.Count
	}
	return count
}

func compareGroups(a, b Group) int {
	return cmp.Or(
		cmp.Compare(b.Count, a.Count), cmp.Compare(a.taskTeam(), b.taskTeam()), cmp.Compare(a.ownerTeam(), b.ownerTeam()),
		cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Reason, b.Reason),
	)
}

// timestamp is Caddy's ts, in any of the forms that `time_format` of its encoders has
// with a date. Any other is the zero time.
type timestamp struct{ time.Time }

// UnmarshalJSON implements [json.Unmarshaler].
func (t *timestamp) UnmarshalJSON(text []byte) error {
	var number float64
	var words string
	if json.Unmarshal(text, &number) == nil {
		switch {
		case number > 1e17: // nanoseconds
			number /= 1e9
		case number > 1e11: // milliseconds
			number /= 1e3
		}
		if number > 0 && number < 1e10 {
			t.set(time.UnixMicro(int64(number * 1e6)))
		}
	} else if json.Unmarshal(text, &words) == nil {
		for _, layout := range []string{
			time.RFC3339Nano, "2006-01-02T15:04:05.000Z0700", "2006/01/02 15:04:05.000", "2006/01/02 15:04:05", "02/Jan/2006:15:04:05 -0700",
		} {
			if at, err := time.Parse(layout, strings.TrimSpace(words)); err == nil {
				t.set(at)
			}
		}
	}
	return nil
}

// set takes a time of this century, which a broken line may not have.
func (t *timestamp) set(at time.Time) {
	if at = at.UTC(); at.Year() >= 2000 && at.Year() < 2100 {
		t.Time = at
	}
}
