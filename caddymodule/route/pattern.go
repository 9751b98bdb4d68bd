package route

import (
	"fmt"
	"slices"
	"strings"
)

// field is the part of a [Reading] that a path or query parameter fills.
type field uint8

const (
	ignored field = iota
	dagID
	runID
	taskID
	key
	selfID
	assetName
	assetURI
	assetAlias
	mapIndex
	fields
)

// pathFields are the path parameters of Airflow's routes.
var pathFields = map[string]field{
	"dag_id": dagID, "run_id": runID, "task_id": taskID,
	"key": key, "variable_key": key, "connection_id": key,
	"task_instance_id": selfID, "connection_test_id": selfID, "callback_id": selfID,
	"offset": ignored, // the route's path behind it is what matters
}

// captures holds the values that a pattern took from a path, by field.
type captures [fields]string

// segment is one piece of a pattern between slashes.
type segment struct {
	literal string // empty for a parameter
	param   field
}

// pattern is a compiled route pattern: segments from the front, then, in a
// pattern with a {name:path} parameter, that parameter and segments from the back.
type pattern struct {
	front   []segment
	hasRest bool
	rest    field
	back    []segment
}

// compile reads a pattern in Starlette's notation. It panics on one that it
// can't express: the table is data of this package.
func compile(text string) pattern {
	var p pattern
	for part := range strings.SplitSeq(strings.TrimPrefix(text, "/"), "/") {
		name, isParam := strings.CutPrefix(part, "{")
		if !isParam {
			p.add(segment{literal: part})
			continue
		}
		name = strings.TrimSuffix(name, "}")
		name, isRest := strings.CutSuffix(name, ":path")
		param, known := pathFields[name]
		switch {
		case !known, isRest && p.hasRest:
			panic(fmt.Sprintf("route: cannot compile %q", text))
		case isRest:
			p.hasRest, p.rest = true, param
		default:
			p.add(segment{param: param})
		}
	}
	return p
}

func (p *pattern) add(s segment) {
	if p.hasRest {
		p.back = append(p.back, s)
	} else {
		p.front = append(p.front, s)
	}
}

// match reports whether the pattern takes the whole path, as the regular
// expression that Starlette makes of it would: a parameter takes one or more
// bytes that are no slash, a :path parameter anything, none included
// (starlette/convertors.py). Line ends, where they differ, never get here.
func (p *pattern) match(path string, into *captures) bool {
	for _, s := range p.front {
		if path == "" {
			return false
		}
		var part string
		if i := strings.IndexByte(path[1:], '/'); i >= 0 {
			part, path = path[1:1+i], path[1+i:]
		} else {
			part, path = path[1:], ""
		}
		if !s.take(part, into) {
			return false
		}
	}
	if !p.hasRest {
		return path == ""
	}
	if path == "" {
		return false
	}
	path = path[1:]
	for _, s := range slices.Backward(p.back) {
		slash := strings.LastIndexByte(path, '/')
		if slash < 0 || !s.take(path[slash+1:], into) {
			return false
		}
		path = path[:slash]
	}
	into[p.rest] = path
	return true
}

func (s segment) take(part string, into *captures) bool {
	if s.literal != "" {
		return part == s.literal
	}
	into[s.param] = part
	return part != ""
}
