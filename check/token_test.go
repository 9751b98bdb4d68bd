package check_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/check"
	"github.com/dagfence/dagfence/config"
)

// signed is a running task's token, as the stub signs it, with changed claims.
func signed(t *testing.T, s *stub, change jwt.MapClaims, header ...string) string {
	t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{
		"sub": taskA, "scope": "execution", "aud": audience, "jti": "x", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
	maps.Copy(claims, change)
	token := jwt.NewWithClaims(s.method, claims)
	for i := 0; i+1 < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	text, err := token.SignedString(s.sign)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTaskToken_NamesTheWrongSetting(t *testing.T) {
	t.Parallel()
	later := time.Now().Add(time.Hour).Unix()
	for name, tc := range map[string]struct {
		claims jwt.MapClaims
		stub   func(*stub)
		fence  func(*config.Token)
		text   string
	}{
		"secret":     {nil, func(s *stub) { s.sign, s.verify = []byte("another"), []byte("another") }, nil, "and upstream accepts it: token signature does not match"},
		"audience":   {nil, nil, func(f *config.Token) { f.Audience = []string{"x"} }, `and upstream accepts it: token is for another audience: it is for "urn:airflow.apache.org:task", and token audience is ["x"]`},
		"issuer":     {jwt.MapClaims{"iss": "you"}, nil, func(f *config.Token) { f.Issuer = []string{"me"} }, `it is from "you", and token issuer is ["me"]`},
		"no issuer":  {nil, nil, func(f *config.Token) { f.Issuer = []string{"me"} }, "upstream names no issuer: leave out token issuer"},
		"algorithm":  {nil, func(s *stub) { s.method = jwt.SigningMethodHS384 }, nil, `it is signed by "HS384": set token algorithms to that`},
		"expired":    {jwt.MapClaims{"exp": 1}, nil, nil, "and so does upstream: token has expired: its exp is 1970-01-01T00:00:01Z"},
		"early":      {jwt.MapClaims{"iat": later}, nil, nil, "token was issued in the future: its iat is "},
		"not before": {jwt.MapClaims{"nbf": later}, nil, nil, "token is not valid yet: its nbf is "},
		"subject":    {jwt.MapClaims{"sub": "somebody"}, nil, nil, "its sub names no task instance"},
		"scope":      {jwt.MapClaims{"scope": "other"}, nil, nil, `its scope is "other"`},
		"no claims":  {jwt.MapClaims{"aud": nil}, nil, nil, "token is missing a required claim: aud"},
		"key pair here": {nil, nil, func(f *config.Token) {
			f.Secret, f.JWKS = "", jwks(t, testKey(t), "k1")
		}, `it is signed by "HS512": set token secret`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, options := newStub(), right(t)
			if tc.stub != nil {
				tc.stub(s)
			}
			if tc.fence != nil {
				tc.fence(&options.Fence.Token)
			}
			options.Upstream, options.Token = s.start(t), signed(t, s, tc.claims)
			wantFinding(t, atFence(t, options, options.Token), "task's token", check.Problem, tc.text)
		})
	}
}

// wantFinding checks the finding of one check, whatever the others found.
func wantFinding(t *testing.T, found findings, name string, state check.State, text string) {
	t.Helper()
	for _, f := range found {
		if f.Check == name && (f.State != state || !strings.Contains(f.Text, text)) {
			t.Errorf("found  %s\nwanted %s: %q", f, state, text)
		}
	}
	if !slices.ContainsFunc(found, func(f check.Finding) bool { return f.Check == name }) {
		t.Errorf("no finding of %s", name)
	}
}

func TestTaskToken_InvalidOrOfAnotherScope(t *testing.T) {
	t.Parallel()
	s := newStub()
	upstream := s.start(t)
	for text, token := range map[string]string{
		"must be the whole token":       "not-a-token",
		"token is larger than 8 KiB":    strings.Repeat("x", 9000),
		"its scope is workload":         signed(t, s, jwt.MapClaims{"scope": "workload"}),
		"its scope is callback":         signed(t, s, jwt.MapClaims{"scope": "callback"}),
		"the fence and upstream accept": signed(t, s, nil),
		"no token: set":                 "",
	} {
		options := right(t)
		options.Upstream, options.Token = upstream, token
		state := check.Problem
		switch text {
		case "its scope is workload", "its scope is callback", "no token: set":
			state = check.NotChecked
		case "the fence and upstream accept":
			state = check.OK
		}
		wantFinding(t, atFence(t, options), "task's token", state, text)
	}
}

func TestTokenHints_CoverEveryReason(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../caddymodule/identity/errors.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	for _, match := range regexp.MustCompile(`= &Error\{"(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		declared = append(declared, match[1])
	}
	hinted := check.Reasons()
	slices.Sort(declared)
	slices.Sort(hinted)
	if len(declared) < 10 || !slices.Equal(declared, hinted) {
		t.Errorf("reasons %q, hints for %q", declared, hinted)
	}
}

func testKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// jwks is a file with the key's public half.
func jwks(t *testing.T, key *rsa.PrivateKey, kid string) string {
	t.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: kid, Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "jwks.json", string(set))
}

func TestTaskToken_ChecksPublicKeys(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	set := jwks(t, key, "k1")
	for name, tc := range map[string]struct {
		kid   []string
		sign  *rsa.PrivateKey
		fence config.Token
		state check.State
		text  string
	}{
		"the key":         {[]string{"kid", "k1"}, key, config.Token{JWKS: set}, check.OK, "the fence and upstream accept it"},
		"unknown kid":     {[]string{"kid", "k2"}, key, config.Token{JWKS: set}, check.Problem, `its kid is "k2": put upstream's public key into the JWKS`},
		"no kid":          {nil, key, config.Token{JWKS: set}, check.Problem, "upstream names no key"},
		"another key":     {[]string{"kid", "k1"}, testKey(t), config.Token{JWKS: set}, check.Problem, "or token jwks or token public_key to the public half"},
		"RS512 alone":     {[]string{"kid", "k1"}, key, config.Token{JWKS: set, Algorithms: []string{"RS512"}}, check.Problem, "leave out token algorithms"},
		"a secret in use": {[]string{"kid", "k1"}, key, config.Token{Secret: secret}, check.Problem, "set token jwks or token public_key, in place of the secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, options := newStub(), right(t)
			s.method, s.sign, s.verify = jwt.SigningMethodRS256, tc.sign, &tc.sign.PublicKey
			options.Fence.Token = tc.fence
			options.Upstream, options.Token = s.start(t), signed(t, s, nil, tc.kid...)
			found := atFence(t, options, options.Token)
			wantFinding(t, found, "task's token", tc.state, tc.text)
			if tc.fence.JWKS != "" {
				wantFinding(t, found, "token settings", check.NotChecked, "public keys cannot sign a token")
			}
		})
	}
}

func TestTokenKeys_AreReadAsAtStart(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	good, err := os.ReadFile(jwks(t, key, "k1"))
	if err != nil {
		t.Fatal(err)
	}
	oct := `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"o"}]}`
	mixed := strings.Replace(string(good), `{"keys":[`, `{"keys":[{"kty":"EC","crv":"P-224","kid":"e"},`, 1)
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good":
			_, _ = w.Write(good)
		case "/oct":
			answer(w, http.StatusOK, oct)
		default:
			answer(w, http.StatusNotFound, "")
		}
	})).String()
	for name, tc := range map[string]struct {
		token config.Token
		state check.State
		text  string
	}{
		"a secret":            {config.Token{Secret: secret}, check.OK, "a secret of 64 bytes"},
		"Airflow's default":   {config.Token{Secret: "MDEyMzQ1Njc4OWFiY2RlZg=="}, check.Warning, "24 bytes, and HS512 needs 64 or more (RFC 7518"},
		"a short one, HS256":  {config.Token{Secret: secret[:31], Algorithms: []string{"HS256"}}, check.Warning, "HS256 needs 32 or more"},
		"a secret in a file":  {config.Token{SecretFile: write(t, "secret", secret)}, check.OK, "a secret of 64 bytes"},
		"no such file":        {config.Token{SecretFile: "/nowhere"}, check.Problem, "token secret_file: open /nowhere"},
		"a set":               {config.Token{JWKS: server + "/good"}, check.OK, "public keys are read"},
		"no set":              {config.Token{JWKS: server + "/none"}, check.Problem, "server returned 404: must be 200 (redirects are not followed): set the URL"},
		"nobody":              {config.Token{JWKS: "http://127.0.0.1:1/set?secret"}, check.Problem, "connection refused: nothing listens there"},
		"unknown name":        {config.Token{JWKS: "http://nowhere.invalid/set"}, check.Problem, "the name cannot be resolved"},
		"not TLS":             {config.Token{JWKS: strings.Replace(server, "http:", "https:", 1) + "/good"}, check.Problem, "server does not use TLS on this port"},
		"symmetric key":       {config.Token{JWKS: server + "/oct"}, check.Problem, "key 0 is symmetric (kty oct)"},
		"a key is left out":   {config.Token{JWKS: write(t, "mixed.json", mixed)}, check.Warning, "keys of the JWKS are ignored: key 0 can't be used"},
		"no PEM":              {config.Token{PublicKey: write(t, "key.pem", "x")}, check.Problem, "token public_key: no public key, private key or certificate found"},
		"a PEM for a secret":  {config.Token{Secret: "-----BEGIN PUBLIC KEY-----"}, check.Problem, "set token public_key instead"},
		"a file with no keys": {config.Token{JWKS: write(t, "none.json", `{"keys":[]}`)}, check.Problem, "JWKS has no usable signature key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := right(t)
			options.Fence.Token = tc.token
			atFence(t, options, "c2VjcmV0", "MDEyMzQ1", "?secret").want(t, tc.state, "token keys", tc.text)
		})
	}
}
