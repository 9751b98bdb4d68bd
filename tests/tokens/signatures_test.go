package tokens_test

import (
	"crypto/ed25519"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// sign signs as the signer does: with alg, whatever the header says.
func (s signer) sign(signed string) []byte {
	return must(jwt.GetSigningMethod(s.alg).Sign(signed, s.key))
}

// signOtherwise signs with what is not the key, or spoils the signature.
func (g *generator) signOtherwise(d *draft) {
	if g.IntN(2) == 0 {
		change := pick(g.Rand, signatureEdits)
		d.sign = func(signed string) []byte { return change(d.by.sign(signed), g.IntN) }
		return
	}
	other := pick(g.Rand, pick(g.Rand, [][]signer{otherSigners, d.profile.signers}))
	if g.IntN(2) == 0 {
		d.header[0].value = `"` + other.alg + `"`
	}
	d.sign = other.sign
}

// otherSigners are keys of no deployment, or a wrong use of a deployment's secret.
var otherSigners = []signer{
	{"none", "", jwt.UnsafeAllowNoneSignatureType},
	{"HS512", "", []byte("another secret")},
	{"HS512", "", []byte{0}},
	{"HS512", "", []byte(secret + "\x00")}, // HMAC fills its key up with zeros
	{"HS512", "", []byte(secret + "\n")},
	{"HS256", "", []byte(secret)},
	{"HS384", "", []byte(secret)},
	{"HS512", "", []byte(secret)},
	{"EdDSA", "", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))},
}

// signatureEdits spoil a signature; n returns a number below another.
var signatureEdits = []func(signature []byte, n func(int) int) []byte{
	func([]byte, func(int) int) []byte { return nil },
	func(s []byte, n func(int) int) []byte { return s[:n(len(s)+1)] },
	func(s []byte, _ func(int) int) []byte { return append(s, 0) },
	func(s []byte, _ func(int) int) []byte { return append([]byte{0}, s...) },
	func(s []byte, _ func(int) int) []byte { return append(s, s...) },
	func(s []byte, _ func(int) int) []byte { return make([]byte, len(s)) },
	func(s []byte, n func(int) int) []byte {
		if len(s) > 0 {
			s[n(len(s))] ^= 1 << n(8)
		}
		return s
	},
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// editToken changes the token as it is sent.
func (g *generator) editToken(d *draft) {
	edits := []func(string) string{
		func(s string) string { return s + strings.Repeat("=", 1+g.IntN(3)) },
		func(s string) string { return padded(s, g.IntN(3)) },
		func(s string) string { return padded(padded(padded(s, 0), 1), 2) },
		func(s string) string { return s[:len(s)-1] },
		func(s string) string { return s[:len(s)-1] + string(base64url[g.IntN(len(base64url))]) },
		func(s string) string {
			at := g.IntN(len(s) + 1)
			return s[:at] + pick(g.Rand, []string{" ", "\t", "\n", "\r\n", ".", "=", "-", "_", "+", "/", "%3D", "\x00", "\u00a0", "é", "\u200b", "A", ","}) + s[at:]
		},
		func(s string) string {
			at := g.IntN(len(s))
			return s[:at] + string(base64url[g.IntN(len(base64url))]) + s[at+1:]
		},
		func(s string) string { return strings.NewReplacer("-", "+", "_", "/").Replace(s) },
		func(s string) string { return pick(g.Rand, []string{".", "..", "a.", "e30."}) + s },
		func(s string) string { return s + pick(g.Rand, []string{".", "..", ".a", ".e30.e30"}) },
		func(s string) string { return s[:max(0, strings.LastIndexByte(s, '.'))] },
		func(s string) string { return s[strings.IndexByte(s, '.')+1:] },
		func(s string) string { return strings.Replace(s, ".", "..", 1) },
		func(s string) string { return s + "." + s },
		func(s string) string { return `"` + s + `"` },
		func(s string) string { return `{"jws":"` + s + `"}` },
		func(s string) string { return strings.ReplaceAll(s, ".", "%2E") },
		strings.ToUpper,
	}
	d.tokenEdits = append(d.tokenEdits, pick(g.Rand, edits))
}

// padded fills one segment up with = signs, as other encoders do.
func padded(token string, at int) string {
	segments := strings.Split(token, ".")
	if at < len(segments) {
		segments[at] += strings.Repeat("=", (4-len(segments[at])%4)%4)
	}
	return strings.Join(segments, ".")
}

// editLine changes the value of the Authorization header around the token.
func (g *generator) editLine(d *draft) {
	d.lineEdits = append(d.lineEdits, func(s string) string {
		scheme, token, _ := strings.Cut(s, " ")
		return strings.NewReplacer("S", scheme, "T", token).Replace(pick(g.Rand, []string{
			"bearer T", "BEARER T", "bEaReR T", "S  T", "S      T", "S\tT", "S \tT", "S\u00a0T", " S T", "\tS T", "S T ", "S T\t", "S T \t ", "S T\n", "S T\x0b", "S T\x1c", "S T\u0085", "S T\u00a0",
			"S", "S ", "S    ", "", "T", "S: T", "S=T", "S,T", `S "T"`, "S token=T", "Basic T", "Token T", "JWT T", "Bearer1 T", "Bear T", "\u212aearer T", "Be\u0430rer T",
			"S S T", "S T,S T", "S T, S T", "S T S T", "S T T", "S T;a=b", "S T,", "Basic dXNlcjpwYXNz, S T", "S T, Basic dXNlcjpwYXNz", "S x, S T", "S T#", "S T\x00",
		}))
	})
}
