package tokens_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A generator makes questions: each is a token that passes, with a few things
// wrong, or merely odd, about it.
type generator struct {
	*rand.Rand
	profiles []profile // each as often as it weighs
	recent   []question
}

func newGenerator(seed uint64, profiles []profile) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	for _, p := range profiles {
		g.profiles = append(g.profiles, slices.Repeat([]profile{p}, p.weight)...)
	}
	return g
}

// A draft is a token that is being written.
type draft struct {
	profile        profile
	by             signer
	now            float64
	header, claims object
	// edits of the text of the header and the claims, of what is signed, of the
	// whole token and of the header of the request.
	headerEdits, claimsEdits, tokenEdits, lineEdits []func(string) string
	// sign, where set, returns the signature instead of by.
	sign func(signed string) []byte
}

// A member of a JSON object, both name and value as they are written.
type member struct{ name, value string }

type object []member

func (o object) String() string {
	var text strings.Builder
	text.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(m.name + ":" + m.value)
	}
	text.WriteByte('}')
	return text.String()
}

// next returns a question. One in twenty is a token that was asked about before, at
// another time: the fence remembers those that it took.
func (g *generator) next() question {
	if len(g.recent) > 0 && g.Float64() < 0.05 {
		q := pick(g.Rand, g.recent)
		q.Now = g.time()
		return q
	}
	d := g.draft()
	for range 1 + min(int(g.ExpFloat64()), 5) {
		pick(g.Rand, mutations)(g, d)
	}
	q := question{d.profile.validator, d.finish(), d.now}
	if len(g.recent) < 64 {
		g.recent = append(g.recent, q)
	} else {
		g.recent[g.IntN(64)] = q
	}
	return q
}

func (g *generator) time() float64 {
	return base + pick(g.Rand, []float64{0, 0, 0, 0, 0.5, -0.5, 1, -1, 9.5, 10, -10, -10.5, 600, 609.5, 610, 610.5, 3600, -3600})
}

// draft returns a token as Airflow signs it.
func (g *generator) draft() *draft {
	d := &draft{profile: pick(g.Rand, g.profiles), now: g.time()}
	d.by = pick(g.Rand, d.profile.signers)
	d.header = object{{`"alg"`, strconv.Quote(d.by.alg)}, {`"kid"`, strconv.Quote(d.by.kid)}, {`"typ"`, `"JWT"`}}
	issued := strconv.FormatInt(int64(d.now), 10)
	d.claims = object{
		{`"sub"`, strconv.Quote(taskID)},
		{`"scope"`, pick(g.Rand, []string{`"execution"`, `"workload"`})},
		{`"jti"`, fmt.Sprintf(`"%016x"`, g.Uint64())},
		{`"aud"`, strconv.Quote(pick(g.Rand, d.profile.audiences))},
		{`"nbf"`, issued},
		{`"exp"`, strconv.FormatInt(int64(d.now)+600, 10)},
		{`"iat"`, issued},
	}
	if d.profile.issuer != "" {
		d.claims = append(d.claims, member{`"iss"`, strconv.Quote(d.profile.issuer)})
	}
	return d
}

// finish signs the token and puts it behind its scheme.
func (d *draft) finish() string {
	sign := d.sign
	if sign == nil {
		sign = d.by.sign
	}
	token := apply(compact(apply(d.header.String(), d.headerEdits), apply(d.claims.String(), d.claimsEdits), sign), d.tokenEdits)
	return strings.ToValidUTF8(apply("Bearer "+token, d.lineEdits), "?")
}

// compact is RFC 7515's compact serialization.
func compact(header, claims string, sign func(string) []byte) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(header)) + "." + encode([]byte(claims))
	return signed + "." + encode(sign(signed))
}

func apply(text string, edits []func(string) string) string {
	for _, edit := range edits {
		if len(text) > 1 {
			text = edit(text)
		}
	}
	return text
}
