package identity_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/caddymodule/identity"
)

// refused fails the test unless the token is refused for that reason.
func refused(t *testing.T, v *identity.Verifier, token string, want error) {
	t.Helper()
	task, err := v.Verify("Bearer " + token)
	deny(want)(t, task, err)
	if err != nil && len(token) > 20 && strings.Contains(err.Error(), token) {
		t.Errorf("%q tells the token", err)
	}
}

func TestAlgNone_IsRefused(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		unsigned := encode(`{"alg":"`+alg+`","typ":"JWT"}`) + "." + encode(claims()) + "."
		refused(t, verifier(secretKeys(t)), unsigned, identity.ErrAlgorithm)
		kid := encode(`{"alg":"`+alg+`","kid":"rsa"}`) + "." + encode(claims()) + "."
		refused(t, verifier(keySet(t)), kid, identity.ErrAlgorithm)
	}
}

func TestAlgNone_IsRefusedIfConfigured(t *testing.T) {
	t.Parallel()
	none := func(c *identity.Config) { c.Algorithms = []string{"none"} }
	unsigned := sign(t, "none", jwt.UnsafeAllowNoneSignatureType, `{"alg":"none","kid":"rsa"}`, claims())
	refused(t, verifier(secretKeys(t), none), unsigned, identity.ErrAlgorithm)
	refused(t, verifier(keySet(t), none), unsigned, identity.ErrAlgorithm)
}

func TestHMAC_WithThePublicKeyAsSecretIsRefused(t *testing.T) {
	t.Parallel()
	der := must(x509.MarshalPKIXPublicKey(&rsaKey.PublicKey))
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	everything := func(c *identity.Config) { c.Algorithms = []string{"RS256", "HS256", "HS512"} }
	for _, alg := range []string{"HS256", "HS512"} {
		for _, key := range [][]byte{public, der, x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)} {
			forged := sign(t, alg, key, `{"alg":"`+alg+`","kid":"rsa"}`, claims())
			refused(t, verifier(keySet(t)), forged, identity.ErrAlgorithm)
			refused(t, verifier(keySet(t), everything), forged, identity.ErrAlgorithm)
		}
	}
}

func TestHMAC_WithAnEmptySecretIsRefused(t *testing.T) {
	t.Parallel()
	forged := sign(t, "HS512", []byte{}, hs512, claims())
	refused(t, verifier(secretKeys(t)), forged, identity.ErrSignature)
	refused(t, verifier(keySet(t)), forged, identity.ErrAlgorithm)
	refused(t, verifier(&identity.Keys{}), forged, identity.ErrAlgorithm)
}

func TestHS256_WithTheHS512SecretIsRefused(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"HS256", "HS384"} {
		weaker := sign(t, alg, []byte(secret), `{"alg":"`+alg+`"}`, claims())
		refused(t, verifier(secretKeys(t)), weaker, identity.ErrAlgorithm)
	}
}

func TestConfiguredAlgorithms_AreTheOnlyOnes(t *testing.T) {
	t.Parallel()
	only := func(names ...string) func(*identity.Config) {
		return func(c *identity.Config) { c.Algorithms = names }
	}
	hs256 := sign(t, "HS256", []byte(secret), `{"alg":"HS256"}`, claims())
	ed := sign(t, "EdDSA", edKey, `{"alg":"EdDSA","kid":"ed"}`, claims())
	rs512 := sign(t, "RS512", rsaKey, `{"alg":"RS512","kid":"rsa"}`, claims())
	for name, tc := range map[string]struct {
		v     *identity.Verifier
		token string
		want  judgement
	}{
		"HS256 configured":                      {verifier(secretKeys(t), only("HS256")), hs256, execution},
		"HS512 no longer":                       {verifier(secretKeys(t), only("HS256")), token(t, claims()), deny(identity.ErrAlgorithm)},
		"GUESS is Airflow's word for no choice": {verifier(secretKeys(t), only("GUESS")), token(t, claims()), execution},
		"GUESS does not widen a secret":         {verifier(secretKeys(t), only("GUESS")), hs256, deny(identity.ErrAlgorithm)},
		"EdDSA configured":                      {verifier(keySet(t), only("RS256", "EdDSA")), ed, execution},
		"EdDSA not among them":                  {verifier(keySet(t), only("RS256")), ed, deny(identity.ErrAlgorithm)},
		"RS512 with a key of RS256":             {verifier(keySet(t), only("RS512")), rs512, deny(identity.ErrAlgorithm)},
		"RS512 under a secret":                  {verifier(secretKeys(t), only("RS512")), rs512, deny(identity.ErrAlgorithm)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := tc.v.Verify("Bearer " + tc.token)
			tc.want(t, task, err)
		})
	}
}

func TestAlg_ThatIsNoStringIsRefused(t *testing.T) {
	t.Parallel()
	for _, header := range []string{`{}`, `null`, `{"alg":null}`, `{"alg":["HS512"]}`, `{"alg":1}`, `{"Alg":"HS512"}`, `{"alg":"hs512"}`, `{"alg":"HS512\u0000"}`} {
		refused(t, verifier(secretKeys(t)), sign(t, "HS512", []byte(secret), header, claims()), identity.ErrAlgorithm)
	}
}

func TestAlg_SetTwiceCountsAsTheLast(t *testing.T) {
	t.Parallel()
	header := `{"alg":"HS512","alg":"none"}`
	refused(t, verifier(secretKeys(t)), sign(t, "HS512", []byte(secret), header, claims()), identity.ErrAlgorithm)
}

func TestTokenHeader_ThatIsNoObjectIsRefused(t *testing.T) {
	t.Parallel()
	for _, header := range []string{``, `[]`, `"HS512"`, `{"alg":"HS512"`, hs512 + hs512} {
		refused(t, verifier(secretKeys(t)), sign(t, "HS512", []byte(secret), header, claims()), identity.ErrMalformed)
	}
}

func TestKid_NamesOnlyALoadedKey(t *testing.T) {
	t.Parallel()
	for kid, want := range map[string]error{
		`"../../../../dev/null"`:              identity.ErrUnknownKey,
		`"/proc/self/environ"`:                identity.ErrUnknownKey,
		`"rsa' UNION SELECT 'secret' --"`:     identity.ErrUnknownKey,
		`"RSA"`:                               identity.ErrUnknownKey,
		`"rsa "`:                              identity.ErrUnknownKey,
		`"rsa\u0000"`:                         identity.ErrUnknownKey,
		`""`:                                  identity.ErrUnknownKey,
		`"` + strings.Repeat("k", 5000) + `"`: identity.ErrUnknownKey,
		`null`:                                identity.ErrMalformed,
		`1`:                                   identity.ErrMalformed,
		`["rsa"]`:                             identity.ErrMalformed,
		`{"rsa":"rsa"}`:                       identity.ErrMalformed,
		`"ed"`:                                identity.ErrAlgorithm, // another key's kid
	} {
		refused(t, verifier(keySet(t)), sign(t, "RS256", rsaKey, `{"alg":"RS256","kid":`+kid+`}`, claims()), want)
	}
	refused(t, verifier(keySet(t)), sign(t, "RS256", rsaKey, `{"alg":"RS256"}`, claims()), identity.ErrMalformed)
	refused(t, verifier(secretKeys(t)), sign(t, "HS512", []byte(secret), `{"alg":"HS512","kid":1}`, claims()), identity.ErrMalformed)
}

func TestKeysInTheToken_AreNotFetchedOrTrusted(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	t.Cleanup(server.Close)
	_, attacker, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	embedded := string(must(jwkJSON(attacker)))
	for _, header := range []string{
		`{"alg":"EdDSA","kid":"ed","jku":"` + server.URL + `"}`,
		`{"alg":"EdDSA","kid":"ed","x5u":"` + server.URL + `"}`,
		`{"alg":"EdDSA","kid":"ed","jwk":` + embedded + `}`,
		`{"alg":"EdDSA","kid":"ed","x5c":["AAAA"]}`,
	} {
		refused(t, verifier(keySet(t)), sign(t, "EdDSA", attacker, header, claims()), identity.ErrSignature)
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("%d requests went where the token pointed", n)
	}
}

func TestTokenHeader_CriticalOrUnencodedIsRefused(t *testing.T) {
	t.Parallel()
	for _, header := range []string{
		`{"alg":"HS512","crit":["exp"],"exp":1}`, `{"alg":"HS512","crit":[]}`, `{"alg":"HS512","crit":null}`,
		`{"alg":"HS512","crit":["b64"],"b64":false}`, `{"alg":"HS512","b64":false}`, `{"alg":"HS512","b64":true}`,
	} {
		refused(t, verifier(secretKeys(t)), sign(t, "HS512", []byte(secret), header, claims()), identity.ErrMalformed)
	}
}

func TestAudience_EmptyOrNestedIsRefused(t *testing.T) {
	t.Parallel()
	for _, aud := range []string{`""`, `[]`, `[""]`, `[null]`, `{}`, `[["` + audience + `"]]`, `{"` + audience + `":1}`, `false`, `0`} {
		refused(t, verifier(secretKeys(t)), token(t, claims("aud", aud)), identity.ErrAudience)
	}
	empty := func(c *identity.Config) { c.Audience = nil }
	refused(t, verifier(secretKeys(t), empty), token(t, claims("aud", `""`)), identity.ErrAudience)
}

func TestExp_ThatIsNoDateIsRefused(t *testing.T) {
	t.Parallel()
	for _, exp := range []string{
		`"` + seconds(600) + `"`, `{}`, `[]`, `true`, `"never"`, `1e300`, `-1e300`, `1e400`, `253402300800`, `NaN`, `Infinity`, `-Infinity`, `0x7fffffff`,
		strings.Repeat("9", 4000),
	} {
		refused(t, verifier(secretKeys(t)), token(t, claims("exp", exp)), identity.ErrMalformed)
	}
	for _, exp := range []string{`0`, `-0`, `-1`, `-253402300799`, `1e-300`, `0.9`} {
		refused(t, verifier(secretKeys(t)), token(t, claims("exp", exp)), identity.ErrExpired)
	}
}

func TestClaim_SetTwiceCountsAsTheLast(t *testing.T) {
	t.Parallel()
	other := "ffffffff-ffff-4fff-8fff-ffffffffffff"
	base := strings.TrimSuffix(claims("-sub"), "}")
	v := verifier(secretKeys(t))
	task, err := v.Verify("Bearer " + token(t, base+`,"sub":"`+other+`","sub":"`+taskID+`"}`))
	execution(t, task, err)
	task, err = v.Verify("Bearer " + token(t, base+`,"sub":"`+taskID+`","sub":"`+other+`"}`))
	if err != nil || task.ID != other {
		t.Errorf("got %q, %v, want %q", task.ID, err, other)
	}
	refused(t, v, token(t, base+`,"sub":"`+taskID+`","sub":null}`), identity.ErrMissingClaim)
	refused(t, v, token(t, base+`,"sub":"`+taskID+`","exp":0}`), identity.ErrExpired)
	refused(t, v, token(t, base+`,"sub":"`+taskID+`","aud":["x"]}`), identity.ErrAudience)
	// An escape spells the same name.
	refused(t, v, token(t, base+`,"sub":"`+taskID+`","\u0065xp":0}`), identity.ErrExpired)
}

func TestClaim_InAnotherCaseIsAnotherClaim(t *testing.T) {
	t.Parallel()
	v := verifier(secretKeys(t))
	other := `"ffffffff-ffff-4fff-8fff-ffffffffffff"`
	task, err := v.Verify("Bearer " + token(t, claims("Sub", other, "SUB", other, "Exp", "0", "AUD", `"x"`, "Scope", `"x"`)))
	execution(t, task, err)
	refused(t, v, token(t, claims("-sub", "Sub", other)), identity.ErrMissingClaim)
	refused(t, v, token(t, claims("-exp", "EXP", seconds(600))), identity.ErrMissingClaim)
	refused(t, v, token(t, claims("-aud", "Aud", `"`+audience+`"`)), identity.ErrMissingClaim)
}

func TestToken_WithWhitespaceOrPaddingIsRefused(t *testing.T) {
	t.Parallel()
	good := token(t, claims())
	parts := strings.Split(good, ".")
	v := verifier(secretKeys(t))
	for _, bad := range []string{
		good + "=", good + "==", parts[0] + "=." + parts[1] + "." + parts[2], parts[0] + "." + parts[1] + "=." + parts[2],
		good + "\n", good + "\r\n", "\n" + good, parts[0] + ".\n" + parts[1] + "." + parts[2], good[:20] + "\r" + good[20:],
		good + "\t", good + "\u00a0", good + "\x00", good + "%20", "\u200b" + good, `"` + good + `"`,
		strings.ReplaceAll(good, "-", "+") + "+", strings.ReplaceAll(good, "_", "/") + "/",
	} {
		refused(t, v, bad, identity.ErrMalformed)
	}
	task, err := v.Verify("Bearer " + good)
	execution(t, task, err)
}

// The last letter of a 64-byte signature carries two bits that decode to
// nothing: a lax decoder takes several spellings of one token.
func TestSignature_InAnotherEncodingIsRefused(t *testing.T) {
	t.Parallel()
	good := token(t, claims())
	v := verifier(secretKeys(t))
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, good[len(good)-1])
	for twin := last - last%16; twin < last-last%16+16; twin++ {
		if twin != last {
			refused(t, v, good[:len(good)-1]+string(alphabet[twin]), identity.ErrMalformed)
		}
	}
}

func TestToken_HasThreeSegments(t *testing.T) {
	t.Parallel()
	good := token(t, claims())
	v := verifier(secretKeys(t))
	for _, bad := range []string{
		".", "..", "...", "a", "a.b", good + ".", "." + good, good + "." + good, good[:strings.LastIndex(good, ".")],
		good + ".e30.e30", strings.Repeat(".", identity.MaxTokenSize),
	} {
		refused(t, v, bad, identity.ErrMalformed)
	}
}

func TestToken_TooLongIsRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	v := verifier(secretKeys(t))
	refused(t, v, strings.Repeat(".", 900_000), identity.ErrTooLarge)
	refused(t, v, strings.Repeat("a", identity.MaxTokenSize+1), identity.ErrTooLarge)
	refused(t, v, strings.Repeat("a", identity.MaxTokenSize), identity.ErrMalformed)
	task, err := v.Verify("Bearer" + strings.Repeat(" ", 900_000) + token(t, claims()))
	execution(t, task, err)
	noKeys := verifier(nil)
	refused(t, noKeys, strings.Repeat("a", identity.MaxTokenSize+1), identity.ErrTooLarge)
	refused(t, noKeys, "a", identity.ErrNoKeys)
}

func TestNestedJSON_IsRefusedWithoutHarm(t *testing.T) {
	t.Parallel()
	v := verifier(secretKeys(t))
	const depth = 2900
	for _, bomb := range []string{
		strings.Repeat("[", depth), strings.Repeat(`{"a":`, depth/5),
		strings.Repeat("[", depth/2) + strings.Repeat("]", depth/2), `{"sub":` + strings.Repeat("[", depth),
	} {
		refused(t, v, encode(hs512)+"."+encode(bomb)+".AAAA", identity.ErrMalformed)
		refused(t, v, encode(bomb)+"."+encode(claims())+".AAAA", identity.ErrMalformed)
	}
	nested := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	refused(t, v, token(t, claims("sub", nested(99))), identity.ErrSubject)
	// The claims themselves are one level. Python reads fewer levels than Go.
	refused(t, v, token(t, claims("extra", nested(100))), identity.ErrMalformed)
	header := `{"alg":"HS512","extra":` + nested(100) + `}`
	refused(t, v, sign(t, "HS512", []byte(secret), header, claims()), identity.ErrMalformed)
	for _, extra := range []string{nested(99), `[` + strings.Repeat(`{},`, 500) + `"` + nested(500) + `\\\"` + nested(500) + `"]`} {
		task, err := v.Verify("Bearer " + token(t, claims("extra", extra)))
		execution(t, task, err)
	}
}

// Go puts U+FFFD in the place of each of these, where Python refuses them or
// keeps them apart.
func TestText_ThatGoAndPythonReadDifferentlyIsRefused(t *testing.T) {
	t.Parallel()
	v := verifier(secretKeys(t))
	for _, text := range []string{
		"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "a\x80",
		`\ud800`, `\udfff`, `\uD83D`, `\udc00\ud800`, `\ud800\ud800\udc00`, `\ud800x`, `\ud800\n`, `\ud800\u0041`, `\ud800\\udc00`, `\\\ud800`,
	} {
		refused(t, v, token(t, claims("extra", `"`+text+`"`)), identity.ErrMalformed)
		refused(t, v, token(t, strings.Replace(claims(), "{", `{"`+text+`":1,`, 1)), identity.ErrMalformed)
		refused(t, v, token(t, claims("dag_id", `"`+text+`"`)), identity.ErrMalformed)
		refused(t, v, sign(t, "HS512", []byte(secret), `{"alg":"HS512","extra":"`+text+`"}`, claims()), identity.ErrMalformed)
	}
	for _, text := range []string{`é`, `\u00e9`, `\ufffd`, "\ufffd", `\ud83d\ude00`, `\uD83D\uDE00\ud83d\ude00`, `\\ud800`, `\\\\ud800`, `\"\/\b\f\n\r\t`} {
		task, err := v.Verify("Bearer " + token(t, claims("extra", `"`+text+`"`)))
		execution(t, task, err)
	}
}

func TestSignature_EmptyIsRefused(t *testing.T) {
	t.Parallel()
	payload := encode(claims())
	refused(t, verifier(secretKeys(t)), encode(hs512)+"."+payload+".", identity.ErrSignature)
	for kid, alg := range map[string]string{"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"} {
		header := encode(`{"alg":"` + alg + `","kid":"` + kid + `"}`)
		refused(t, verifier(keySet(t)), header+"."+payload+".", identity.ErrSignature)
		refused(t, verifier(keySet(t)), header+"."+payload+".AAAA", identity.ErrSignature)
	}
	// CVE-2022-21449: r and s of zero.
	zero := encode(`{"alg":"ES256","kid":"ec"}`) + "." + payload + "." + encode(strings.Repeat("\x00", 64))
	refused(t, verifier(keySet(t)), zero, identity.ErrSignature)
}

func TestSignature_OfAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, verifier(secretKeys(t)), sign(t, "HS512", []byte("another secret"), hs512, claims()), identity.ErrSignature)
	refused(t, verifier(keySet(t)), sign(t, "EdDSA", other, `{"alg":"EdDSA","kid":"ed"}`, claims()), identity.ErrSignature)
	// The web UI's tokens are signed with the same secret, for people.
	refused(t, verifier(secretKeys(t)), token(t, claims("aud", `"apache-airflow"`, "sub", `"1"`)), identity.ErrAudience)
}

func TestToken_ChangedIsRefused(t *testing.T) {
	t.Parallel()
	v := verifier(secretKeys(t))
	parts := strings.Split(token(t, claims()), ".")
	other := strings.Split(token(t, claims("sub", `"ffffffff-ffff-4fff-8fff-ffffffffffff"`)), ".")
	refused(t, v, parts[0]+"."+other[1]+"."+parts[2], identity.ErrSignature)
	refused(t, v, encode(`{"alg":"HS512"}`)+"."+parts[1]+"."+parts[2], identity.ErrSignature)
}

func TestWorkloadScope_IsNotExecution(t *testing.T) {
	t.Parallel()
	v := verifier(secretKeys(t))
	for range 2 { // the second time from memory
		task, err := v.Verify("Bearer " + token(t, claims("scope", `"workload"`)))
		workload(t, task, err)
		task, err = v.Verify("Bearer " + token(t, claims()))
		execution(t, task, err)
	}
}

// FuzzVerify looks for a header that panics, or that passes without having been
// signed.
func FuzzVerify(f *testing.F) {
	good := token(f, claims())
	for _, seed := range []string{
		"", "Bearer " + good, "bearer  " + good + "=", "Bearer ..", "Bearer " + encode(`{"alg":"none"}`) + "." + encode(claims()) + ".",
	} {
		f.Add(seed)
	}
	v := verifier(secretKeys(f))
	f.Fuzz(func(t *testing.T, header string) {
		task, err := v.Verify(header)
		if err != nil {
			if task != (identity.Task{}) || identity.Reason(err) == "other" {
				t.Errorf("%q: %+v, %v", header, task, err)
			}
			return
		}
		if _, sent, _ := strings.Cut(header, " "); strings.TrimLeft(sent, " ") != good {
			t.Errorf("%q passed", header)
		}
	})
}

func jwkJSON(key ed25519.PrivateKey) ([]byte, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return []byte(`{"kty":"OKP","crv":"Ed25519","x":"` + encode(string(public)) + `"}`), nil
}
