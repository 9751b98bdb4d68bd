package identity

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep the JSON of a token may nest. Airflow's own does not
// nest at all; Python's parser gives up near 1000 levels, Go's at 10000.
const maxDepth = 100

// readAlike reports whether Python reads a token's header and claims as Go has
// read them. Go takes U+FFFD for bytes that are not UTF-8 and for half a
// surrogate pair, so that two names become one; PyJWT refuses the bytes, and
// pydantic a name with the half.
func readAlike(token string) bool {
	header, rest, _ := strings.Cut(token, ".")
	claims, _, _ := strings.Cut(rest, ".")
	for _, segment := range [...]string{header, claims} {
		text, err := base64.RawURLEncoding.DecodeString(segment)
		if err != nil || !utf8.Valid(text) || !isPlainJSON(text) {
			return false
		}
	}
	return true
}

// isPlainJSON reports whether JSON, known to be valid, has whole surrogate pairs
// only and nests at most maxDepth deep.
func isPlainJSON(text []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			length := escapeLength(text[i:])
			if length == 0 {
				return false
			}
			i += length - 1
		case quoted:
		case c == '[', c == '{':
			if depth++; depth > maxDepth {
				return false
			}
		case c == ']', c == '}':
			depth--
		}
	}
	return true
}

// escapeLength is how long the escape is that a text starts with, both halves of
// a surrogate pair together; 0 for a half alone.
func escapeLength(text []byte) int {
	const short, long = len(`\n`), len(`\u0000`)
	first, ok := escapedRune(text)
	switch {
	case !ok:
		return short
	case !utf16.IsSurrogate(first):
		return long
	}
	second, _ := escapedRune(text[long:])
	if utf16.DecodeRune(first, second) == utf8.RuneError {
		return 0
	}
	return 2 * long
}

func escapedRune(text []byte) (rune, bool) {
	if len(text) < len(`\u0000`) || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	code, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(code), err == nil
}
