package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/dagfence/dagfence/caddymodule/identity"
)

var (
	rsaKey      = must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey       = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	_, edKey, _ = ed25519.GenerateKey(rand.Reader)
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// keySet holds a key of each type, by the kids rsa, ec and ed.
func keySet(tb testing.TB) *identity.Keys {
	tb.Helper()
	set := map[string]identity.Key{}
	for kid, public := range map[string]crypto.PublicKey{"rsa": &rsaKey.PublicKey, "ec": &ecKey.PublicKey, "ed": edKey.Public()} {
		key, err := identity.NewKey(public, "")
		if err != nil {
			tb.Fatal(err)
		}
		set[kid] = key
	}
	keys, err := identity.NewKeySet(set)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// These were signed by Airflow 3.3.2 (JWTGenerator) with keys that it made
// itself (generate_private_key) and threw away.
const (
	airflowRSA = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAo56LxkU8zjBcKnJCPRUk
sSwNJfPFE5VQWHjYHLBR+EKW3WXjGAMGhd6woe6R9wkM89QIs9dE0LpIb3zqVjEn
F4TqYMrgd4hdETl4pEKO5ZZRjnskyPQbGxXLxBWxMpgWiPsCa8EUVuIfzBri4cv1
r4fdseMsDzzSuDeRQGYkJDI2PMp97yTs/ackGRBsZaxy3m2MxHhhNdGdp5DQ7zzZ
s7zqG7umuwseKyDeK5WZ0pJylqzlzteBzCPFjByjTgvDH/+At0ylFxUvTZpsD6/g
iSVfs1jeAQ4RALUjR1KCUJ67Ls98XmVlRlO7j2qq64hmqcI965cINrhMM+QglCoY
BwIDAQAB
-----END PUBLIC KEY-----
`
	airflowRS256 = "eyJhbGciOiJSUzI1NiIsImtpZCI6InVEd04xVktqeEJiWmNUdW96UmZ6STNfd0NWVEhfTHQyV2o3Smh6cDBaRjAiLCJ0eXAiOiJKV1QifQ" +
		".eyJzdWIiOiIwMTk5ZjdjNC04YTdlLTdiMWEtOGM1NS0zZjBlNmYwYTFiMmMiLCJzY29wZSI6ImV4ZWN1dGlvbiIsImp0aSI6ImFjN2IwMzc0MjVkMzQ5ZjI5MmFkMGM3NWYwMGNhZTE4IiwiYXVkIjoidXJuOmFpcmZsb3cuYXBhY2hlLm9yZzp0YXNrIiwibmJmIjoxNzk1MzE5MzAyLCJleHAiOjE4ODk5MjczMDIsImlhdCI6MTc5NTMxOTMwMn0" +
		".fPTkiERvK2LO2N97WoKlpuuDePsLCOS5bpP0zXYw6fidYp1n54pRx9jtdwppBhF7KFeG3mRhxZHIiGLbYTlPXcgQvoacCgR3czg4nwTJxtNx30HpyVbOWNnG2VWgbsCd3AWg5sxy5TwLA0-s9OLalFxobpIsa9slr51JF4ECpmZ9rjbclGj8gTCRRFUbHZvR69HlMvuvqKd-hOjaSnpgmLSVW98X9aRG2-JJMro5WJz66eoGph6mw9LK9ooswk5mHnHiprPaBEXH7VjHS8RG2CAqzJVAJcXgh0tLT34r6gc868O6d2qjImq0FZCYudIGjJZZDVq_TMP_KCfPP0byWA"
	airflowEd25519 = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEArJYD0yyF+xZoCnSMY+/vmBjW4bXkxuTpzfFRfGq8kUI=
-----END PUBLIC KEY-----
`
	airflowEdDSA = "eyJhbGciOiJFZERTQSIsImtpZCI6InphS3EtOFQ0dXpOMHVvUWRYM19nQ3hUTjhqN3FDd1lBQmxiQTU0OE9zNkEiLCJ0eXAiOiJKV1QifQ" +
		".eyJzdWIiOiIwMTk5ZjdjNC04YTdlLTdiMWEtOGM1NS0zZjBlNmYwYTFiMmMiLCJzY29wZSI6ImV4ZWN1dGlvbiIsImp0aSI6Ijg5NjI2Yjc0YjllYTQ3ZjFiYWU4YjlhNzg0ZThkMWZiIiwiYXVkIjoidXJuOmFpcmZsb3cuYXBhY2hlLm9yZzp0YXNrIiwibmJmIjoxNzk1MzE5MzAyLCJleHAiOjE4ODk5MjczMDIsImlhdCI6MTc5NTMxOTMwMn0" +
		".-dLxH3ENZODvjNy91uEYaFWdKFU5oMmwtow0HoD0xf_py7ufPmBFWzHTpf6uBlzlUAFufjaAGD4EL7lmftSDCQ"
	airflowHS512 = "eyJhbGciOiJIUzUxMiIsImtpZCI6Im5vdC11c2VkIiwidHlwIjoiSldUIn0" +
		".eyJzdWIiOiIwMTk5ZjdjNC04YTdlLTdiMWEtOGM1NS0zZjBlNmYwYTFiMmMiLCJzY29wZSI6ImV4ZWN1dGlvbiIsImp0aSI6ImUwNzE4YjNlNjNiZDQ1M2Y5ZjFlYjFkYTA2ZmU3M2U1IiwiYXVkIjoidXJuOmFpcmZsb3cuYXBhY2hlLm9yZzp0YXNrIiwibmJmIjoxNzk1MzE5MzAyLCJleHAiOjE3OTUzMTk5MDIsImlhdCI6MTc5NTMxOTMwMn0" +
		".hiiKN1SdM1rY4ucU4JI2zmox4YficWrtIjkJLsO0TZBu-OWtxco1hz08GFxI9sH-jVbblxksH47MGplah1INSA"
)

func TestAirflowsTokens_Pass(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		keys  *identity.Keys
		token string
	}{
		"HS512 and the secret":     {secretKeys(t), airflowHS512},
		"RS256 and the public key": {must(identity.ParsePEM([]byte(airflowRSA))), airflowRS256},
		"EdDSA and the public key": {must(identity.ParsePEM([]byte(airflowEd25519))), airflowEdDSA},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := verifier(tc.keys).Verify("Bearer " + tc.token)
			execution(t, task, err)
		})
	}
}

func TestParsePEM_ReadsEveryKey(t *testing.T) {
	t.Parallel()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate := must(x509.CreateCertificate(rand.Reader, template, template, &rsaKey.PublicKey, rsaKey))
	wrap := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkcs8 := func(key any) []byte { return must(x509.MarshalPKCS8PrivateKey(key)) }
	rsaPEM := wrap("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)))
	for name, tc := range map[string]struct {
		document string
		alg      string
		key      crypto.Signer
	}{
		"public key":              {rsaPEM, "RS256", rsaKey},
		"PKCS 1 public key":       {wrap("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey)), "RS256", rsaKey},
		"certificate":             {wrap("CERTIFICATE", certificate), "RS256", rsaKey},
		"private key":             {wrap("PRIVATE KEY", pkcs8(rsaKey)), "RS256", rsaKey},
		"PKCS 1 private key":      {wrap("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), "RS256", rsaKey},
		"Ed25519 private key":     {wrap("PRIVATE KEY", pkcs8(edKey)), "EdDSA", edKey},
		"EC private key":          {wrap("EC PARAMETERS", []byte{6}) + wrap("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey))), "ES256", ecKey},
		"text before the PEM":     {"a comment\n" + rsaPEM, "RS256", rsaKey},
		"the first of two counts": {rsaPEM + airflowRSA, "RS256", rsaKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := identity.ParsePEM([]byte(tc.document))
			if err != nil {
				t.Fatal(err)
			}
			kid := encode(string(must((&jose.JSONWebKey{Key: tc.key.Public()}).Thumbprint(crypto.SHA256))))
			task, err := verifier(keys).Verify("Bearer " + sign(t, tc.alg, tc.key, `{"alg":"`+tc.alg+`","kid":"`+kid+`"}`, claims()))
			execution(t, task, err)
			task, err = verifier(keys).Verify("Bearer " + sign(t, tc.alg, tc.key, `{"alg":"`+tc.alg+`","kid":"jwt_kid"}`, claims()))
			deny(identity.ErrUnknownKey)(t, task, err)
		})
	}
}

func TestParsePEM_RefusesWhatIsNoKey(t *testing.T) {
	t.Parallel()
	wrap := func(kind, der string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(der)}))
	}
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	for name, tc := range map[string]struct{ document, want string }{
		"empty":                 {"", "no public key, private key or certificate found"},
		"not PEM":               {"a-secret", "no public key, private key or certificate found"},
		"another block":         {wrap("X509 CRL", "x"), "no public key, private key or certificate found"},
		"encrypted":             {wrap("ENCRYPTED PRIVATE KEY", "x"), "openssl pkey -pubout"},
		"garbage public key":    {wrap("PUBLIC KEY", "x"), "asn1"},
		"garbage PKCS 1 key":    {wrap("RSA PUBLIC KEY", "x"), "asn1"},
		"garbage certificate":   {wrap("CERTIFICATE", "x"), "x509"},
		"garbage private key":   {wrap("PRIVATE KEY", "x"), "reading the PEM private key"},
		"garbage RSA key":       {wrap("RSA PRIVATE KEY", "x"), "reading the PEM private key"},
		"garbage EC key":        {wrap("EC PRIVATE KEY", "x"), "reading the PEM private key"},
		"a curve without a JWS": {wrap("EC PRIVATE KEY", string(must(x509.MarshalECPrivateKey(p224)))), "unsupported curve"},
		"an X25519 private key": {`-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VuBCIEIIhS7mLgtzCdRYd5n1U9f0dc3m0HmuG1JqXnLWOXPuFg
-----END PRIVATE KEY-----`, "can't sign"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := identity.ParsePEM([]byte(tc.document)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// jwk writes a public key as Airflow's own JWKS would have it, changed.
func jwk(key crypto.PublicKey, change map[string]any) map[string]any {
	fields := map[string]any{}
	if err := json.Unmarshal(must(json.Marshal(jose.JSONWebKey{Key: key})), &fields); err != nil {
		panic(err)
	}
	maps.Copy(fields, change)
	return fields
}

func jwks(keys ...any) []byte { return must(json.Marshal(map[string]any{"keys": keys})) }

func TestParseJWKS_ReadsEveryKey(t *testing.T) {
	t.Parallel()
	thumb := encode(string(must((&jose.JSONWebKey{Key: edKey.Public()}).Thumbprint(crypto.SHA256))))
	private := map[string]any{}
	if err := json.Unmarshal(must(json.Marshal(jose.JSONWebKey{Key: rsaKey, KeyID: "private"})), &private); err != nil {
		t.Fatal(err)
	}
	keys, skipped, err := identity.ParseJWKS(jwks(
		jwk(&rsaKey.PublicKey, map[string]any{"kid": "rsa", "use": "sig"}),
		jwk(&rsaKey.PublicKey, map[string]any{"kid": "rsa512", "alg": "RS512"}),
		jwk(&rsaKey.PublicKey, map[string]any{"kid": "pss", "alg": "PS256"}),
		jwk(&rsaKey.PublicKey, map[string]any{"kid": "encrypts", "use": "enc"}),
		jwk(&ecKey.PublicKey, map[string]any{"kid": "ec", "alg": "ES256"}),
		jwk(&ecKey.PublicKey, map[string]any{"kid": "ec384", "alg": "ES384"}),
		jwk(edKey.Public(), nil),
		private,
		map[string]any{"kty": "EC", "crv": "secp256k1", "kid": "k1", "x": "AA", "y": "AA"},
		map[string]any{"kty": "new", "kid": "new"},
		"not an object",
	))
	if err != nil {
		t.Fatal(err)
	}
	if len(skipped) != 4 { // ec384, k1, new, not an object
		t.Errorf("skipped %v, want 4", skipped)
	}
	v := verifier(keys)
	for _, tc := range []struct {
		kid, alg string
		key      any
		want     judgement
	}{
		{"rsa", "RS256", rsaKey, execution},
		{"rsa", "RS512", rsaKey, deny(identity.ErrAlgorithm)},
		{"rsa512", "RS512", rsaKey, execution},
		{"rsa512", "RS256", rsaKey, deny(identity.ErrAlgorithm)},
		{"pss", "PS256", rsaKey, execution},
		{"pss", "RS256", rsaKey, deny(identity.ErrAlgorithm)},
		{"encrypts", "RS256", rsaKey, deny(identity.ErrUnknownKey)},
		{"ec", "ES256", ecKey, execution},
		{"ec384", "ES256", ecKey, deny(identity.ErrUnknownKey)},
		{thumb, "EdDSA", edKey, execution},
		{"private", "RS256", rsaKey, execution},
		{"", "EdDSA", edKey, deny(identity.ErrUnknownKey)},
	} {
		t.Run(tc.kid+" "+tc.alg, func(t *testing.T) {
			t.Parallel()
			task, err := v.Verify("Bearer " + sign(t, tc.alg, tc.key, `{"alg":"`+tc.alg+`","kid":"`+tc.kid+`"}`, claims()))
			tc.want(t, task, err)
		})
	}
}

func TestParseJWKS_RefusesInvalidSets(t *testing.T) {
	t.Parallel()
	good := jwk(edKey.Public(), map[string]any{"kid": "a"})
	for name, tc := range map[string]struct {
		document []byte
		want     string
	}{
		"empty":                            {nil, "invalid JWKS: must be a JSON object"},
		"a web page":                       {[]byte("<html>"), "invalid JWKS: must be a JSON object"},
		"a list":                           {[]byte("[]"), "invalid JWKS: must be a JSON object"},
		"keys not a list":                  {[]byte(`{"keys":{}}`), "invalid JWKS: must be a JSON object"},
		"no keys":                          {[]byte(`{}`), "no usable signature key"},
		"no key in it":                     {jwks(), "no usable signature key"},
		"encryption only":                  {jwks(jwk(edKey.Public(), map[string]any{"use": "enc"})), "no usable signature key"},
		"unusable only":                    {jwks(jwk(edKey.Public(), map[string]any{"alg": "RS256"})), `"RS256" does not suit`},
		"a symmetric key":                  {jwks(good, map[string]any{"kty": "oct", "k": "c2VjcmV0", "kid": "b"}), "symmetric"},
		"a kid given twice":                {jwks(good, jwk(&ecKey.PublicKey, map[string]any{"kid": "a"})), "kid of another key"},
		"a key given twice, without a kid": {jwks(jwk(edKey.Public(), nil), jwk(edKey.Public(), nil)), "kid of another key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := identity.ParseJWKS(tc.document)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want an error with %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("%q tells the key", err)
			}
		})
	}
}

func TestKey_IsPinnedToItsAlgorithm(t *testing.T) {
	t.Parallel()
	short := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 511), E: 65537}
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	p521 := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	for _, tc := range []struct {
		name      string
		public    crypto.PublicKey
		algorithm string
		ok        bool
	}{
		{"RSA", &rsaKey.PublicKey, "", true},
		{"RSA with SHA-384", &rsaKey.PublicKey, "RS384", true},
		{"RSA PSS", &rsaKey.PublicKey, "PS512", true},
		{"RSA as HMAC", &rsaKey.PublicKey, "HS256", false},
		{"RSA as EC", &rsaKey.PublicKey, "ES256", false},
		{"RSA as none", &rsaKey.PublicKey, "none", false},
		{"RSA as unheard of", &rsaKey.PublicKey, "RSA-OAEP", false},
		{"RSA of 512 bits", short, "", false},
		{"zero RSA", &rsa.PublicKey{}, "", false},
		{"P-256 as ES384", &ecKey.PublicKey, "ES384", false},
		{"P-384", &p384.PublicKey, "ES384", true},
		{"P-521", &p521.PublicKey, "", true},
		{"Ed25519", edKey.Public(), "EdDSA", true},
		{"Ed25519 as ES256", edKey.Public(), "ES256", false},
		{"private key", rsaKey, "", false},
		{"secret", []byte(secret), "HS512", false},
		{"nothing", nil, "", false},
	} {
		if _, err := identity.NewKey(tc.public, tc.algorithm); (err == nil) != tc.ok {
			t.Errorf("%s: got %v, want ok %v", tc.name, err, tc.ok)
		}
	}
}

func TestNewSecret_RefusesInvalidSecrets(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"empty": "", "a public key": airflowRSA} {
		if _, err := identity.NewSecret([]byte(content)); err == nil {
			t.Errorf("%s was taken for a secret", name)
		} else if content != "" && strings.Contains(err.Error(), content[30:60]) {
			t.Errorf("%q tells the secret", err)
		}
	}
}
