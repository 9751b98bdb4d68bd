package identity_test

import (
	"testing"
	"time"

	"github.com/dagfence/dagfence/caddymodule/identity"
)

// BenchmarkVerify answers what a request pays for its token: when it is
// remembered, when it is seen for the first time, by algorithm, and when it is
// refused.
func BenchmarkVerify(b *testing.B) {
	set := keySet(b)
	for _, bc := range []struct {
		name   string
		keys   *identity.Keys
		token  string
		forget bool
	}{
		{"hit", secretKeys(b), token(b, claims()), false},
		{"miss/HS512", secretKeys(b), token(b, claims()), true},
		{"miss/RS256", set, sign(b, "RS256", rsaKey, `{"alg":"RS256","kid":"rsa"}`, claims()), true},
		{"miss/ES256", set, sign(b, "ES256", ecKey, `{"alg":"ES256","kid":"ec"}`, claims()), true},
		{"miss/EdDSA", set, sign(b, "EdDSA", edKey, `{"alg":"EdDSA","kid":"ed"}`, claims()), true},
		{"refused/expired", secretKeys(b), token(b, claims("exp", "0")), false},
		{"refused/signature", secretKeys(b), token(b, claims()) + "AAAA", false},
		{"refused/malformed", secretKeys(b), "open-sesame", false},
	} {
		b.Run(bc.name, func(b *testing.B) {
			// A copy of the keys is another snapshot: it forgets the token.
			one, two := *bc.keys, *bc.keys
			keys := &one
			v := identity.New(identity.Config{Audience: []string{audience}, Leeway: 10 * time.Second},
				func() *identity.Keys { return keys }, func() time.Time { return now }, 1000)
			header := "Bearer " + bc.token
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if bc.forget {
					keys = []*identity.Keys{&one, &two}[i%2]
				}
				_, _ = v.Verify(header)
			}
		})
	}
	b.Run("hit/parallel", func(b *testing.B) {
		v := verifier(secretKeys(b))
		header := "Bearer " + token(b, claims())
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := v.Verify(header); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
