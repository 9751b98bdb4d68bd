package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// parsedFile is a file as Python's ConfigParser reads it with the settings that
// Airflow leaves as they are, but for the case of options, which Airflow keeps:
// "=" and ":" delimit, "#" and ";" begin a comment where they begin a line,
// deeper lines continue a value, and nothing may be there twice
// (configparser.py, RawConfigParser._read; the same from Python 3.10 to 3.14).
type parsedFile struct {
	sections map[string]map[string]string
	// defaults is the section DEFAULT: each other section has what it sets.
	defaults map[string]string
}

// parseFile reads what Python reads. Its errors quote no line, because a line
// may hold a secret.
func parseFile(content []byte) (*parsedFile, error) {
	if !utf8.Valid(content) {
		return nil, errors.New("it is not UTF-8")
	}
	r := &fileReader{defaults: make(map[string][]string), sections: make(map[string]map[string][]string)}
	lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(content))
	for line := range strings.SplitSeq(lines, "\n") {
		r.number++
		if err := r.read(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", r.number, err)
		}
	}
	file := &parsedFile{sections: make(map[string]map[string]string), defaults: joined(r.defaults)}
	for name, options := range r.sections {
		file.sections[name] = joined(options)
	}
	return file, nil
}

func joined(options map[string][]string) map[string]string {
	values := make(map[string]string)
	for option, lines := range options {
		values[option] = strings.TrimRightFunc(strings.Join(lines, "\n"), isSpace)
	}
	return values
}

// fileReader is the state between two lines.
type fileReader struct {
	number   int
	defaults map[string][]string
	sections map[string]map[string][]string
	section  map[string][]string // the current one; nil before the first header
	option   string              // the current one; empty behind a header
	indent   int                 // of the last line that continues nothing
}

func (r *fileReader) read(line string) error {
	text := strings.TrimFunc(line, isSpace)
	indent := utf8.RuneCountInString(line[:strings.IndexFunc(line+".", isNoSpace)])
	switch {
	case strings.HasPrefix(text, "#"), strings.HasPrefix(text, ";"):
	case text == "":
		r.extend("")
	case r.option != "" && indent > r.indent:
		r.extend(text)
	default:
		r.indent = indent
		// The last bracket ends a header, and what follows it means nothing.
		if end := strings.LastIndexByte(text, ']'); text[0] == '[' && end > 1 {
			return r.begin(text[1:end])
		}
		return r.set(text)
	}
	return nil
}

func (r *fileReader) extend(text string) {
	if r.option != "" {
		r.section[r.option] = append(r.section[r.option], text)
	}
}

func (r *fileReader) begin(header string) error {
	r.option = ""
	if header == "DEFAULT" { // the only one that may be there again
		r.section = r.defaults
		return nil
	}
	if _, twice := r.sections[header]; twice {
		return fmt.Errorf("duplicate section [%s]: merge them", header)
	}
	r.section = make(map[string][]string)
	r.sections[header] = r.section
	return nil
}

func (r *fileReader) set(text string) error {
	if r.section == nil {
		return errors.New("no [section] before it: add one")
	}
	delimiter := strings.IndexAny(text, "=:")
	if delimiter < 1 {
		return errors.New(`must be a [section], "option = value" or a comment`)
	}
	r.option = strings.TrimRightFunc(text[:delimiter], isSpace)
	if _, twice := r.section[r.option]; twice {
		return fmt.Errorf("duplicate option %s: remove one", r.option)
	}
	r.section[r.option] = []string{strings.TrimFunc(text[delimiter+1:], isSpace)}
	return nil
}

// maxReferences is how deep %(references)s may lead
// (configparser.MAX_INTERPOLATION_DEPTH).
const maxReferences = 10

// get returns an option's value, with %% and %(references)s replaced, and
// whether the option is there. Names are compared letter by letter.
func (f *parsedFile) get(section, option string) (value string, ok bool, err error) {
	options, ok := f.sections[section]
	if !ok {
		return "", false, nil
	}
	known := maps.Clone(f.defaults)
	maps.Copy(known, options)
	if value, ok = known[option]; !ok {
		return "", false, nil
	}
	var out strings.Builder
	err = interpolate(&out, value, known, maxReferences)
	return out.String(), true, err
}

// interpolate is configparser.BasicInterpolation.
func interpolate(out *strings.Builder, rest string, known map[string]string, depth int) error {
	if depth == 0 {
		return fmt.Errorf("%%(references)s more than %d deep: write the value out", maxReferences)
	}
	for {
		text, behind, found := strings.Cut(rest, "%")
		out.WriteString(text)
		if !found {
			return nil
		}
		if after, double := strings.CutPrefix(behind, "%"); double {
			out.WriteByte('%')
			rest = after
			continue
		}
		name, after, closed := strings.Cut(strings.TrimPrefix(behind, "("), ")")
		if behind == "" || behind[0] != '(' || !closed || name == "" || !strings.HasPrefix(after, "s") {
			return errors.New("unescaped %: write %%")
		}
		value, ok := known[name]
		if !ok {
			return errors.New("unknown option in a %(reference)s: write %% for a percent sign")
		}
		if err := interpolate(out, value, known, depth-1); err != nil {
			return err
		}
		rest = after[1:]
	}
}

// isSpace reports whether Python's str.strip removes r.
func isSpace(r rune) bool { return unicode.IsSpace(r) || slices.Contains(separators, r) }

func isNoSpace(r rune) bool { return !isSpace(r) }

// separators are ASCII's of files, groups, records and units: whitespace for
// Python alone.
var separators = []rune{0x1c, 0x1d, 0x1e, 0x1f}
