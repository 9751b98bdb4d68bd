package tokens_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

const (
	// base is about when the tokens are used, in seconds since 1970.
	base   = 1795319302
	taskID = "0199f7c4-8a7e-7b1a-8c55-3f0e6f0a1b2c"
)

// anything is JSON of every type, and text that only nearly is JSON.
var anything = []string{
	`null`, `true`, `false`, `0`, `-0`, `1`, `-1`, `1.5`, `1e3`, `1E+2`, `1e-400`, `1e400`, `-1e400`, `NaN`, `Infinity`, `-Infinity`, `nan`, `inf`,
	`9007199254740993`, `18446744073709551616`, `123456789012345678901234567890`, `0.1e1`, `01`, `+1`, `.5`, `1.`, `0x10`, `1_000`, `--1`,
	`""`, `" "`, `"x"`, `"null"`, `"1"`, `"\u0000"`, `"é"`, `"\u00e9"`, `"\ud83d\ude00"`, `"\ud800"`, `"\x41"`, `"\u12"`, `'x'`, "\"\t\"", `"a\/b"`,
	`[]`, `[null]`, `[[]]`, `[1,"a",{}]`, `{}`, `{"a":1}`, `{"":{"":[]}}`, `{"a":1,"a":2}`, `[1,]`, `{"a":1,}`, `undefined`, `True`, `None`, `/**/1`,
	strings.Repeat("9", 330), strings.Repeat("9", 4400), "0." + strings.Repeat("3", 4400), `"` + strings.Repeat("x", 3000) + `"`, `"` + strings.Repeat("x", 6000) + `"`,
	strings.Repeat("[", 40) + strings.Repeat("]", 40), strings.Repeat("[", 99) + strings.Repeat("]", 99), strings.Repeat("[", 100) + strings.Repeat("]", 100), strings.Repeat("[", 1200) + strings.Repeat("]", 1200), strings.Repeat(`{"a":`, 90) + "1" + strings.Repeat("}", 90),
}

// valueOf returns JSON for a claim or a member of the header.
func (g *generator) valueOf(d *draft, name string) string {
	pool, ok := map[string]func(*draft) string{
		"sub": g.subject, "aud": g.audience, "iss": g.issuer, "scope": g.scope, "jti": g.text, "kid": g.kid, "alg": g.alg,
		"iat": g.date, "nbf": g.date, "exp": g.date, "crit": g.critical,
	}[name]
	if !ok || g.Float64() < 0.2 {
		return pick(g.Rand, anything)
	}
	return pool(d)
}

// date writes a moment near now in one of many ways.
func (g *generator) date(d *draft) string {
	seconds := int64(d.now) + pick(g.Rand, []int64{-86400, -601, -61, -12, -11, -10, -9, -1, 0, 0, 0, 1, 9, 10, 11, 12, 59, 600, 600, 601, 1e6})
	if g.Float64() < 0.15 {
		return pick(g.Rand, []string{
			`0`, `-1`, `-0.9`, `0.9`, `1e9`, `3e9`, `253402300799`, `253402300799.9`, `253402300800`, `-253402300799`, `-253402300800`, `-1e11`, `1e12`, `1e15`, `1e300`, `-1e300`,
			`9223372036854775807`, `9223372036854775808`, `-9223372036854775809`, strings.Repeat("9", 400), strings.Repeat("1", 4301), `"never"`, `"` + strings.Repeat("9", 4301) + `"`,
		})
	}
	whole := strconv.FormatInt(seconds, 10)
	return fmt.Sprintf(pick(g.Rand, []string{
		`%s`, `%s`, `%s`, `%s`, `%s.0`, `%s.25`, `%s.5`, `%s.9`, `%s.999999999`, `%se0`, `%s0E-1`, `%s.00000000000000000000000001`, ` %s `,
		`"%s"`, `" %s "`, `"%s.5"`, `"+%s"`, `[%s]`, `{"$date":%s}`, `0%s`, `-%s`, `+%s`, `0x%s`, `%sL`,
	}), whole)
}

// subject writes a UUID in one of many ways, right and wrong.
func (g *generator) subject(*draft) string {
	id := fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", g.Uint32(), g.IntN(1<<16), g.IntN(1<<12), g.IntN(1<<12), g.Int64N(1<<48))
	if g.IntN(2) == 0 {
		id = taskID
	}
	bare := strings.ReplaceAll(id, "-", "")
	at := g.IntN(len(id))
	forms := []string{
		id, id, id, strings.ToUpper(id), bare, strings.ToUpper(bare), "{" + id + "}", "urn:uuid:" + id, "urn:uuid:" + strings.ToUpper(id), "{" + strings.ToUpper(id) + "}",
		"{" + bare + "}", "{" + id + ")", "(" + id + "}", "{" + id + "0", "urn:uuid;" + id, "urn:uuid:" + bare, "URN:UUID:" + id, "uuid:" + id, "{" + id, id + "}", "(" + id + ")", " " + id, id + " ", id + `\n`, `\t` + id, id + `\u0000`,
		id[:35], id + "0", "0x" + bare[2:], bare[:31] + "-", id[:at] + "g" + id[at+1:], id[:at] + "-" + id[at+1:], id[:at] + id[at+1:] + "0", "٣" + id[1:], "０" + id[1:],
		strings.ReplaceAll(id, "-", "_"), strings.ReplaceAll(id, "-", "–"), "urn:uuid:{" + id + "}", "{urn:uuid:" + id + "}", "{{" + id + "}}", "", "1", "admin", bare[:16] + "-" + bare[16:],
		"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", strings.Repeat("0", 32), strings.Repeat("-", 36), id + "," + id, "../" + id,
	}
	return `"` + pick(g.Rand, forms) + `"`
}

// audience writes what a token may be for: a string, a list, and worse.
func (g *generator) audience(d *draft) string {
	right := pick(g.Rand, append([]string{audience, audience}, d.profile.audiences...))
	one := strconv.Quote(pick(g.Rand, []string{
		right, right, right, "apache-airflow", "urn:airflow.apache.org:workload", "third", "", strings.ToUpper(right), right + " ", " " + right, right[:len(right)-1], right + "2", right + "/", "first, third", "*",
	}))
	return strings.ReplaceAll(pick(g.Rand, []string{
		`A`, `A`, `A`, `[A]`, `[A,"x"]`, `["x",A]`, `[A,A]`, `["","x"]`, `[A,""]`, `[A,1]`, `[A,null]`, `[null,A]`, `[[A]]`, `[A,[A]]`, `{"aud":A}`, `{A:A}`, `[]`, `[""]`, `""`, ` A `, `[ A ]`, `[A,{}]`, `[A,true]`,
	}), "A", one)
}

func (g *generator) issuer(d *draft) string {
	right := d.profile.issuer
	if right == "" {
		right = issuer
	}
	one := strconv.Quote(pick(g.Rand, []string{right, right, right, right + "/", strings.ToUpper(right), strings.Split(right, ",")[0], "eu", right[:9], "", "x"}))
	return strings.ReplaceAll(pick(g.Rand, []string{`I`, `I`, `I`, `[I]`, `{"iss":I}`, `null`, ` I `}), "I", one)
}

func (g *generator) scope(*draft) string {
	return pick(g.Rand, []string{
		`"execution"`, `"execution"`, `"workload"`, `"workload"`, `"Execution"`, `"WORKLOAD"`, `"execution "`, `" workload"`, `"execution workload"`, `"execution,workload"`, `["execution"]`,
		`["execution","workload"]`, `""`, `null`, `"admin"`, `"callback"`, `"token:workload"`, `{"scope":"execution"}`, `"execution\u0000"`, `"\u0065xecution"`, `"wor\u006Bload"`, `"ｅxecution"`, `true`,
	})
}

func (g *generator) text(*draft) string {
	return pick(g.Rand, []string{`"x"`, `""`, `"ac7b037425d349f292ad0c75f00cae18"`, `null`, `1`, `["x"]`, `"é"`, `" "`, `"\ud800"`})
}

func (g *generator) kid(d *draft) string {
	return pick(g.Rand, []string{
		`"not-used"`, `"rsa"`, `"rsa512"`, `"pss"`, `"ec"`, `"ed"`, `"` + encryptionKid + `"`, `"unknown"`, `"ED"`, `"ed "`, `" ed"`, `"ed\u0000"`, `"\u0065d"`, `"e\u0064"`, `""`, `null`, `0`, `["ed"]`, `{"ed":1}`, `true`,
		`"../../../../dev/null"`, `"/proc/self/environ"`, `"ed' OR '1'='1"`, `"https://attacker.example/key"`, `"` + d.by.kid + `"`, `"` + d.by.kid + `"`, `"` + strings.ToLower(d.by.kid) + `"`,
	})
}

func (g *generator) alg(d *draft) string {
	return pick(g.Rand, []string{
		`"` + d.by.alg + `"`, `"none"`, `"None"`, `"NONE"`, `"nOnE"`, `""`, `"HS256"`, `"HS384"`, `"HS512"`, `"hs512"`, `"Hs512"`, `"RS256"`, `"RS384"`, `"RS512"`, `"PS256"`, `"ES256"`, `"ES256K"`, `"EdDSA"`, `"eddsa"`,
		`"Ed25519"`, `"HS512 "`, `" HS512"`, `"HS512\u0000"`, `"\u0048S512"`, `"RSA-OAEP"`, `"dir"`, `"HS1"`, `"HS1024"`, `["HS512"]`, `[]`, `{}`, `null`, `512`, `true`, `"HS512,none"`, `"GUESS"`,
	})
}

func (g *generator) critical(*draft) string {
	return pick(g.Rand, []string{`["b64"]`, `["exp"]`, `[]`, `["b64","exp"]`, `"b64"`, `[1]`, `["b64","b64"]`, `null`, `{}`})
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
