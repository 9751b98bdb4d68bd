package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/dagfence/dagfence/check"
)

// findings prints what is found, a line at once for each, or all as JSON in the end.
type findings struct {
	to   io.Writer
	json bool

	fence int // counted from 1; 0 where tasks run
	all   []numbered
	err   error // of writing
}

// numbered is a finding about one of several fences.
type numbered struct {
	Fence int `json:"fence,omitempty"`
	check.Finding
}

// begin says which fence the findings that follow are about.
func (f *findings) begin(fence, of int) {
	f.fence = fence
	if of > 1 && !f.json {
		f.print(fmt.Sprintf("fence %d of %d", fence, of))
	}
}

func (f *findings) add(found check.Finding) {
	f.all = append(f.all, numbered{f.fence, found})
	if !f.json {
		f.print(found.String())
	}
}

func (f *findings) print(line string) {
	_, err := fmt.Fprintln(f.to, line)
	f.err = errors.Join(f.err, err)
}

// end returns an error if there is a problem, or if something could not be printed.
func (f *findings) end() error {
	if f.json {
		f.err = json.NewEncoder(f.to).Encode(f.all)
	}
	if f.err != nil {
		return fmt.Errorf("printing the findings: %w", f.err)
	}
	counts := make(map[check.State]int)
	for _, found := range f.all {
		counts[found.State]++
	}
	if counts[check.Problem] == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d checks found a problem", counts[check.Problem],
		counts[check.Problem]+counts[check.Warning]+counts[check.OK])
}
