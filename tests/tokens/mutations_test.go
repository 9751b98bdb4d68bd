package tokens_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// mutations are the things that may be wrong; those of the claims are tried
// most.
var mutations = []func(*generator, *draft){
	inClaims((*generator).set), inClaims((*generator).set), inClaims((*generator).set), inClaims((*generator).set), inClaims((*generator).set), inClaims((*generator).set),
	inClaims((*generator).duplicate), inClaims((*generator).duplicate), inClaims((*generator).drop), inClaims((*generator).respell), inClaims((*generator).respell),
	inClaims((*generator).shuffle), (*generator).claimMore, (*generator).claimMore, (*generator).editClaims,
	inHeader((*generator).set), inHeader((*generator).set), inHeader((*generator).duplicate), inHeader((*generator).drop), inHeader((*generator).respell), inHeader((*generator).shuffle),
	(*generator).headMore, (*generator).headMore, (*generator).editHeader,
	(*generator).signOtherwise, (*generator).editToken, (*generator).editLine, func(*generator, *draft) {},
}

type inObject func(g *generator, d *draft, o *object)

func inClaims(change inObject) func(*generator, *draft) {
	return func(g *generator, d *draft) { change(g, d, &d.claims) }
}

func inHeader(change inObject) func(*generator, *draft) {
	return func(g *generator, d *draft) { change(g, d, &d.header) }
}

// set sets a member to another value.
func (g *generator) set(d *draft, o *object) {
	if len(*o) > 0 {
		m := &(*o)[g.IntN(len(*o))]
		m.value = g.valueOf(d, strings.Trim(m.name, `"`))
	}
}

// duplicate writes a member once more, before or behind the others.
func (g *generator) duplicate(d *draft, o *object) {
	if len(*o) == 0 {
		return
	}
	twin := pick(g.Rand, *o)
	if g.IntN(4) > 0 {
		twin.value = g.valueOf(d, strings.Trim(twin.name, `"`))
	}
	if g.IntN(3) == 0 {
		twin.name = g.spell(twin.name)
	}
	*o = slices.Insert(*o, g.IntN(len(*o)+1), twin)
}

func (g *generator) drop(_ *draft, o *object) {
	if len(*o) > 0 {
		at := g.IntN(len(*o))
		*o = slices.Delete(*o, at, at+1)
	}
}

// respell writes a name or a text otherwise: in another case, or with escapes.
func (g *generator) respell(_ *draft, o *object) {
	if len(*o) == 0 {
		return
	}
	m := &(*o)[g.IntN(len(*o))]
	if g.IntN(2) == 0 && strings.HasPrefix(m.value, `"`) {
		m.value = g.escape(m.value)
		return
	}
	m.name = g.spell(m.name)
}

func (g *generator) spell(name string) string {
	switch g.IntN(5) {
	case 0:
		return strings.ToUpper(name)
	case 1:
		return strings.ToUpper(name[:2]) + name[2:]
	case 2:
		return pick(g.Rand, []string{name[:len(name)-1] + ` "`, `" ` + name[1:], name[:len(name)-1] + `\u0000"`, name[:len(name)-1] + "\u017f\""})
	}
	return g.escape(name)
}

// escape spells some letters of a JSON text that has no escapes as escapes.
func (g *generator) escape(text string) string {
	if strings.Contains(text, `\`) || len(text) < 3 {
		return text
	}
	at := 1 + g.IntN(len(text)-2)
	if text[at] >= 0x80 {
		return text
	}
	return text[:at] + fmt.Sprintf(pick(g.Rand, []string{`\u%04x`, `\u%04X`}), text[at]) + text[at+1:]
}

func (g *generator) shuffle(_ *draft, o *object) {
	g.Shuffle(len(*o), func(i, j int) { (*o)[i], (*o)[j] = (*o)[j], (*o)[i] })
}

// claimMore adds a claim: one that the fence reads, or a name that means
// something to Python, pydantic or PyJWT.
func (g *generator) claimMore(d *draft) {
	name := pick(g.Rand, moreClaims)
	value := g.valueOf(d, name)
	switch name {
	case "dag_id", "run_id", "task_id":
		value = pick(g.Rand, []string{`"name"`, `"name"`, `"é"`, value})
	case "map_index":
		value = pick(g.Rand, []string{`-1`, `0`, `3`, `2147483647`, `2147483648`, `-2`, `1.0`, `1.5`, value})
	}
	d.claims = slices.Insert(d.claims, g.IntN(len(d.claims)+1), member{`"` + name + `"`, value})
}

var moreClaims = []string{
	"dag_id", "run_id", "task_id", "map_index", "map_index", "team", "iss", "self", "id", "claims", "cls", "model_config", "model_fields", "model_extra", "__class__", "__dict__",
	"__pydantic_extra__", "__init__", "_private", "", "é", `\ud800`, `\udfff\ud800`, `\ud83d\ude00`, "a b", "Scope", "ſub", "ſcope", "data", "values", "context", "root", "copy", "json", "schema",
}

// headMore adds a member to the header: all those that RFC 7515 to 7519 and 7797
// know.
func (g *generator) headMore(d *draft) {
	name := pick(g.Rand, []string{"crit", "b64", "jku", "x5u", "jwk", "x5c", "x5t", "x5t#S256", "cty", "typ", "zip", "enc", "epk", "p2c", "exp", "url", "nonce", "Alg", "KID", ""})
	value := g.valueOf(d, name)
	switch name {
	case "b64":
		value = pick(g.Rand, []string{`true`, `false`, `true`, value})
		if g.IntN(2) == 0 {
			d.header = append(d.header, member{`"crit"`, `["b64"]`})
		}
	case "jku", "x5u", "url":
		value = pick(g.Rand, []string{`"https://attacker.example/keys.json"`, `"file:///etc/passwd"`, value})
	case "jwk", "epk":
		value = pick(g.Rand, []string{`{"kty":"oct","k":"AAAA"}`, `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, value})
	case "cty", "typ":
		value = pick(g.Rand, []string{`"JWT"`, `"jwt"`, `"at+jwt"`, `"JWE"`, value})
	case "zip":
		value = `"DEF"`
	}
	d.header = slices.Insert(d.header, g.IntN(len(d.header)+1), member{`"` + name + `"`, value})
}

func (g *generator) editClaims(d *draft) {
	d.claimsEdits = append(d.claimsEdits, pick(g.Rand, textEdits))
}

func (g *generator) editHeader(d *draft) {
	d.headerEdits = append(d.headerEdits, pick(g.Rand, textEdits))
}

// textEdits change the JSON text as a whole.
var textEdits = []func(string) string{
	func(s string) string { return " \t\r\n" + s + " \t\r\n" },
	func(s string) string { return strings.NewReplacer(":", " : ", ",", "\n,\n").Replace(s) },
	func(s string) string { return strings.Replace(s, `{`, `{"x":"\u00e9\\\"\/",`, 1) },
	func(s string) string { return strings.Replace(s, `{`, "{\"x\":\"\xff\",", 1) },
	func(s string) string { return strings.Replace(s, `{`, "{\"\xc0\xaf\":1,", 1) },
	func(s string) string { return strings.Replace(s, `{`, "{\"x\":\"\xed\xa0\x80\",", 1) },
	func(s string) string { return strings.Replace(s, `{`, "{\"x\":\"\xf5\x80\x80\x80\",", 1) },
	func(s string) string { return strings.Replace(s, `{`, "{\"x\":\"a\nb\",", 1) },
	func(s string) string { return strings.Replace(s, `{`, "{\"x\":\"\x7f\u2028\",", 1) },
	func(s string) string { return strings.Replace(s, `{`, `{,`, 1) },
	func(s string) string { return strings.Replace(s, `}`, `,}`, 1) },
	func(s string) string { return strings.ReplaceAll(s, `"`, `'`) },
	func(s string) string { return strings.ReplaceAll(s, ",", "\u00a0,") },
	func(s string) string { return "\ufeff" + s },
	func(s string) string { return inUTF16(s, 0, 1) },
	func(s string) string { return inUTF16(s, 1, 0) },
	func(s string) string { return "\xff\xfe" + inUTF16(s, 0, 1) },
	func(s string) string { return strings.Join(strings.Split(s, ""), "\x00\x00\x00") + "\x00\x00\x00" },
	func(s string) string { return "[" + s + "]" },
	func(s string) string { return s + s },
	func(s string) string { return s + "x" },
	func(s string) string { return s + "\x00" },
	func(s string) string { return s[:len(s)-1] },
	func(s string) string { return s + "//" },
	func(s string) string { return strconv.Quote(s) },
	func(string) string { return "" },
	func(string) string { return "null" },
	func(string) string { return "{}" },
	func(string) string { return "\x80" },
	func(string) string { return strings.Repeat("[", 3000) },
	func(string) string { return strings.Repeat(`{"a":`, 600) },
}

func inUTF16(text string, low, high int) string {
	var encoded []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		pair := [2]byte{}
		pair[low], pair[high] = byte(unit), byte(unit>>8)
		encoded = append(encoded, pair[:]...)
	}
	return string(encoded)
}
