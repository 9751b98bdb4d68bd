package identity

import "strings"

const (
	uuidLength = 36 // of xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx
	hexLength  = 32
)

// canonicalUUID returns the lower-case hyphenated form of a UUID written in any
// of the ways that pydantic takes, which is what reads sub in every Airflow 3
// release: hyphenated, 32 hex digits, and the hyphenated form in braces or
// behind "urn:uuid:", in either case of the digits. Python's own uuid.UUID
// strips more ("0x", stray dashes, other scripts' digits); Airflow doesn't use
// it here.
func canonicalUUID(text string) (string, bool) {
	if len(text) == uuidLength+2 && text[0] == '{' && text[uuidLength+1] == '}' {
		text = text[1 : uuidLength+1]
	} else if rest, urn := strings.CutPrefix(text, "urn:uuid:"); urn && len(rest) == uuidLength {
		text = rest
	}
	if len(text) != uuidLength && len(text) != hexLength {
		return "", false
	}
	canonical := make([]byte, 0, uuidLength)
	for i := range len(text) {
		if len(text) == hexLength && (i == 8 || i == 12 || i == 16 || i == 20) {
			canonical = append(canonical, '-')
		}
		digit, ok := uuidByte(text[i], len(text) == uuidLength && (i == 8 || i == 13 || i == 18 || i == 23))
		if !ok {
			return "", false
		}
		canonical = append(canonical, digit)
	}
	return string(canonical), true
}

// uuidByte lower-cases one hex digit, or takes the dash where one belongs.
func uuidByte(b byte, dash bool) (byte, bool) {
	switch {
	case dash:
		return b, b == '-'
	case '0' <= b && b <= '9', 'a' <= b && b <= 'f':
		return b, true
	case 'A' <= b && b <= 'F':
		return b + 'a' - 'A', true
	default:
		return 0, false
	}
}
