package keyring_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/keyring"
)

const keysURL = "https://operator:pass-word@keys.example/jwks.json?token=hunter2"

// testKey is a key pair that is the same in every run.
func testKey(number byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{number}, ed25519.SeedSize))
}

func publicPEM(t *testing.T, key ed25519.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// keySetOf writes a JWKS of the numbered keys; each has its number as kid.
func keySetOf(t *testing.T, numbers ...byte) string {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, number := range numbers {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: testKey(number).Public(), KeyID: string('0' + number)})
	}
	document, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(document)
}

// verifies reports whether a task's token, signed so, passes with the keys of the
// moment.
func verifies(t *testing.T, keys *keyring.Keyring, method jwt.SigningMethod, key any, kid string) bool {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims{
		"sub": "0199f7c4-8a7e-7b1a-8c55-3f0e6f0a1b2c", "aud": "task",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	})
	token.Header["kid"] = kid
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	v := identity.New(identity.Config{Audience: []string{"task"}}, keys.Current, time.Now, 1)
	_, err = v.Verify("Bearer " + signed)
	return err == nil
}

func verifiesNumber(t *testing.T, keys *keyring.Keyring, number byte) bool {
	t.Helper()
	return verifies(t, keys, jwt.SigningMethodEdDSA, testKey(number), string('0'+number))
}

func thumbprint(t *testing.T, key ed25519.PrivateKey) string {
	t.Helper()
	digest, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(digest)
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, opts keyring.Options, transport http.RoundTripper) (*keyring.Keyring, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	keys, err := keyring.OpenWith(opts, transport, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	return keys, logs
}

func TestKeys_AreReadFromWhereTheOptionsSay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	jwks := write(t, filepath.Join(dir, "jwks.json"), keySetOf(t, 1, 2))
	public := write(t, filepath.Join(dir, "public.pem"), publicPEM(t, testKey(3)))
	for name, tc := range map[string]struct {
		opts   keyring.Options
		method jwt.SigningMethod
		key    any
		kid    string
	}{
		"a secret": {keyring.Options{Secret: "s3cret "}, jwt.SigningMethodHS512, []byte("s3cret "), ""},
		"a secret file": {
			keyring.Options{SecretFile: write(t, filepath.Join(dir, "bare"), "s3cret")},
			jwt.SigningMethodHS512, []byte("s3cret"), "",
		},
		"a secret file that ends in a line break": {
			keyring.Options{SecretFile: write(t, filepath.Join(dir, "lf"), "s3cret\n")},
			jwt.SigningMethodHS512, []byte("s3cret\n"), "",
		},
		"a secret file with whitespace around it": {
			keyring.Options{SecretFile: write(t, filepath.Join(dir, "wide"), " s3cret\t\r\n\n")},
			jwt.SigningMethodHS512, []byte(" s3cret\t\r\n\n"), "",
		},
		"a public key": {
			keyring.Options{PublicKey: public},
			jwt.SigningMethodEdDSA, testKey(3), thumbprint(t, testKey(3)),
		},
		"a JWKS file": {keyring.Options{JWKS: jwks}, jwt.SigningMethodEdDSA, testKey(2), "2"},
		"a JWKS before a public key and a secret": {
			keyring.Options{JWKS: jwks, PublicKey: public, Secret: "s3cret"}, jwt.SigningMethodEdDSA, testKey(1), "1",
		},
		"a public key before a secret": {
			keyring.Options{PublicKey: public, Secret: "s3cret"},
			jwt.SigningMethodEdDSA, testKey(3), thumbprint(t, testKey(3)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := keyring.Open(tc.opts, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			defer keys.Close()
			if err := keys.Err(); err != nil {
				t.Errorf("not ready: %v", err)
			}
			if !verifies(t, keys, tc.method, tc.key, tc.kid) {
				t.Error("the token signed with this key is refused")
			}
			if tc.opts.Secret != "" && tc.opts.JWKS+tc.opts.PublicKey != "" &&
				verifies(t, keys, jwt.SigningMethodHS512, []byte(tc.opts.Secret), "") {
				t.Error("a token signed with the secret that lost passes")
			}
			keys.Renew(t.Context(), identity.ErrUnknownKey) // returns at once: there is nowhere to fetch from
		})
	}
}

func TestInvalidKeys_AreAnErrorAtStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(content string) string {
		f, err := os.CreateTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return write(t, f.Name(), content)
	}
	for name, tc := range map[string]struct {
		opts keyring.Options
		want []string // the option, what is wrong, the fix
	}{
		"nothing": {keyring.Options{}, []string{"no token key configured", "set token jwks"}},
		"a secret that is a PEM": {
			keyring.Options{Secret: publicPEM(t, testKey(1))}, []string{"token secret:", "is a PEM key", "public_key"},
		},
		"a secret file that is not there": {
			keyring.Options{SecretFile: filepath.Join(dir, "absent")},
			[]string{"token secret_file:", "absent: no such file", "jwt_secret"},
		},
		"a secret file that is a folder": {
			keyring.Options{SecretFile: dir}, []string{"token secret_file:", "is not a regular file", "jwt_secret"},
		},
		"a secret file that is empty": {
			keyring.Options{SecretFile: file("")}, []string{"token secret_file:", "secret must not be empty", "jwt_secret"},
		},
		"a secret file of whitespace": {
			keyring.Options{SecretFile: file(" \t")}, []string{"token secret_file:", "only whitespace", "jwt_secret"},
		},
		"a secret file that is huge": {
			keyring.Options{SecretFile: file(strings.Repeat("s3cret", 200_000))},
			[]string{"token secret_file:", "more than 1048576 bytes"},
		},
		"a public key that is none": {
			keyring.Options{PublicKey: file("s3cret")}, []string{"token public_key:", "no public key", "jwt_private_key_path"},
		},
		"a JWKS that is none": {
			keyring.Options{JWKS: file("s3cret")}, []string{"token jwks:", "invalid JWKS", "http(s) URL"},
		},
		"a JWKS with a symmetric key": {
			keyring.Options{JWKS: file(`{"keys":[{"kty":"oct","k":"s3cret"}]}`)},
			[]string{"token jwks:", "symmetric (kty oct)", "secret_file"},
		},
		"a URL that is none": {
			keyring.Options{JWKS: "https://user:s3cret/x@host"}, []string{"token jwks:", "must be an http or https URL", "path of a file"},
		},
		"a URL without a host": {
			keyring.Options{JWKS: "https:///s3cret"}, []string{"token jwks:", "must be an http or https URL"},
		},
		"a JWKS with another scheme": {
			keyring.Options{JWKS: "file:///s3cret"}, []string{"token jwks:", "must be an http or https URL"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zapcore.DebugLevel)
			_, err := keyring.Open(tc.opts, zap.New(core))
			if err == nil {
				t.Fatal("taken")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q tells the secret", err)
			}
			if logs.Len() != 0 {
				t.Errorf("logged %v as well", logs.All())
			}
		})
	}
}

func TestKeyFile_IsFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		path := write(t, filepath.Join(dir, "jwks.json"), keySetOf(t, 1))
		keys, logs := open(t, keyring.Options{JWKS: path}, nil)
		defer keys.Close()
		first := keys.Current()
		later := func() {
			time.Sleep(6 * time.Second)
			synctest.Wait()
		}

		write(t, path, keySetOf(t, 1))
		later()
		if keys.Current() != first {
			t.Error("the same content made new keys, which forgets every token")
		}

		for name, content := range map[string]string{
			"empty": "", "garbage": "<html>", "cut short": keySetOf(t, 2)[:30], "without keys": `{"keys":[]}`,
			"symmetric": `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`,
		} {
			write(t, path, content)
			later()
			if keys.Current() != first || keys.Err() != nil {
				t.Errorf("%s: the last good keys are gone, Err %v", name, keys.Err())
			}
		}
		warned := logs.FilterLevelExact(zapcore.WarnLevel).Len()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if keys.Current() != first {
			t.Error("without the file the last good keys are gone")
		}
		if more := logs.FilterLevelExact(zapcore.WarnLevel).Len() - warned; more != 1 {
			t.Errorf("a minute without the file is logged %d times, want once", more)
		}

		write(t, path, keySetOf(t, 2))
		later()
		if verifiesNumber(t, keys, 1) || !verifiesNumber(t, keys, 2) {
			t.Error("the new key is not in the old one's place")
		}
	})
}

// Airflow signs with every byte that it is given, so a line break at the end of a
// file counts, and is told, because it is often there by mistake.
func TestSecretFile_KeepsItsLastLineBreak(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "secret"), "first\n")
	synctest.Test(t, func(t *testing.T) {
		keys, logs := open(t, keyring.Options{SecretFile: path}, nil)
		defer keys.Close()
		if verifies(t, keys, jwt.SigningMethodHS512, []byte("first"), "") || !verifies(t, keys, jwt.SigningMethodHS512, []byte("first\n"), "") {
			t.Error("the line break is no part of the secret")
		}
		warned := func() int { return logs.FilterMessageSnippet("secret_file ends in a line break").Len() }
		time.Sleep(time.Minute)
		synctest.Wait()
		if warned() != 1 {
			t.Errorf("it is told %d times", warned())
		}
		write(t, path, "other")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if !verifies(t, keys, jwt.SigningMethodHS512, []byte("other"), "") || warned() != 1 {
			t.Errorf("without one it is refused, or told too: %v", logs.All())
		}
	})
}

// Kubernetes mounts a secret as links to a folder, and swaps the folder's link.
func TestKeyFile_IsFollowedThroughASwappedLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for version, content := range map[string]string{"v1": "first", "v2": "other"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "secret"), content)
	}
	link := func(version string) {
		next := filepath.Join(dir, "next")
		if err := errors.Join(os.Symlink(version, next), os.Rename(next, filepath.Join(dir, "data"))); err != nil {
			t.Fatal(err)
		}
	}
	link("v1")
	synctest.Test(t, func(t *testing.T) {
		keys, _ := open(t, keyring.Options{SecretFile: filepath.Join(dir, "data", "secret")}, nil)
		defer keys.Close()
		link("v2")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if !verifies(t, keys, jwt.SigningMethodHS512, []byte("other"), "") {
			t.Error("the new secret is not taken")
		}
		if verifies(t, keys, jwt.SigningMethodHS512, []byte("first"), "") {
			t.Error("the old secret still is")
		}
	})
}

func TestKeyFile_NewKeyVerifiesAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, rotation := range map[string]struct {
		options  func(path string) keyring.Options
		old, now string
		refusal  error
		method   jwt.SigningMethod
		key      any
		kid      string
	}{
		"secret": {
			func(path string) keyring.Options { return keyring.Options{SecretFile: path} },
			"first", "other", identity.ErrSignature, jwt.SigningMethodHS512, []byte("other"), "",
		},
		"public key": {
			func(path string) keyring.Options { return keyring.Options{PublicKey: path} },
			publicPEM(t, testKey(1)), publicPEM(t, testKey(2)), identity.ErrUnknownKey,
			jwt.SigningMethodEdDSA, testKey(2), thumbprint(t, testKey(2)),
		},
		"key set": {
			func(path string) keyring.Options { return keyring.Options{JWKS: path} },
			keySetOf(t, 1), keySetOf(t, 1, 2), identity.ErrUnknownKey, jwt.SigningMethodEdDSA, testKey(2), "2",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			path := write(t, filepath.Join(dir, strings.ReplaceAll(name, " ", "")), rotation.old)
			keys, _ := open(t, rotation.options(path), nil)
			defer keys.Close()
			for round := range 3 { // the last read is never long ago
				write(t, path, rotation.old)
				keys.Renew(t.Context(), rotation.refusal)
				write(t, path, rotation.now)
				var group sync.WaitGroup
				start := time.Now()
				for range 20 {
					group.Go(func() {
						if !keys.Renew(t.Context(), rotation.refusal) || !verifies(t, keys, rotation.method, rotation.key, rotation.kid) {
							t.Errorf("%s, round %d: a token under the new key is refused", name, round)
						}
					})
				}
				group.Wait()
				if waited := time.Since(start); waited > 200*time.Millisecond {
					t.Errorf("%s: twenty tokens waited %v", name, waited)
				}
			}
			if keys.Renew(t.Context(), identity.ErrExpired) {
				t.Errorf("%s: an expired token is worth reading the file for", name)
			}
		})
	}
}

func TestSecret_IsNotReadAgain(t *testing.T) {
	t.Parallel()
	keys, _ := open(t, keyring.Options{Secret: "first"}, nil)
	defer keys.Close()
	if keys.Renew(t.Context(), identity.ErrSignature) {
		t.Error("a forged token makes it read what cannot change")
	}
}

// keyServer is a JWKS server without a network.
type keyServer struct {
	mu     sync.Mutex
	body   string
	status int
	delay  time.Duration
	err    error
	asked  []time.Time
}

func (s *keyServer) set(change func(*keyServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *keyServer) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	body, status, delay, err := s.body, s.status, s.delay, s.err
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}, Request: r}, nil
}

func TestJWKSURL_DownAtStartIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{err: errors.New("connection refused")}
		keys, logs := open(t, keyring.Options{JWKS: keysURL}, server)
		defer keys.Close()
		if keys.Current() != nil {
			t.Error("there are keys already")
		}
		if err := keys.Err(); err == nil || !strings.Contains(err.Error(), "token jwks: fetching the JWKS: connection refused") {
			t.Errorf("Err is %v", err)
		}
		time.Sleep(35 * time.Second)
		if n := server.times(); n != 4 {
			t.Errorf("asked %d times in 35 s, want at start and every 10 s", n)
		}
		if n := logs.FilterLevelExact(zapcore.ErrorLevel).Len(); n != 1 {
			t.Errorf("logged %d errors, want one for all", n)
		}
		server.set(func(s *keyServer) { s.err, s.status, s.body = nil, http.StatusOK, keySetOf(t, 1) })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if err := keys.Err(); err != nil || !verifiesNumber(t, keys, 1) {
			t.Errorf("still not loaded: %v", err)
		}
		for _, entry := range logs.All() {
			line, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "m"}).EncodeEntry(entry.Entry, entry.Context)
			if err != nil {
				t.Fatal(err)
			}
			if text := line.String(); strings.Contains(text, "pass-word") || strings.Contains(text, "hunter2") {
				t.Errorf("%s tells a secret", text)
			}
		}
	})
}

func TestJWKSURL_IsReadEveryHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{status: http.StatusOK, body: keySetOf(t, 1)}
		keys, _ := open(t, keyring.Options{JWKS: keysURL}, server)
		defer keys.Close()
		first := keys.Current()
		time.Sleep(50 * time.Minute)
		if n := server.times(); n != 1 {
			t.Fatalf("asked %d times within 50 minutes", n)
		}
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		if n := server.times(); n != 2 || keys.Current() != first {
			t.Fatalf("asked %d times, the same keys: %v", n, keys.Current() == first)
		}

		server.set(func(s *keyServer) { s.err = errors.New("connection refused") })
		time.Sleep(2 * time.Hour)
		if asked := server.times(); asked < 300 || asked > 800 {
			t.Errorf("asked %d times in two hours, want about every 10 s since the first time that it was due", asked)
		}
		for _, fault := range []func(*keyServer){
			func(s *keyServer) { s.err, s.status = nil, http.StatusInternalServerError },
			func(s *keyServer) { s.status, s.body = http.StatusOK, "<html>" },
			func(s *keyServer) { s.body = `{"keys":[]}` },
			func(s *keyServer) { s.body = "" },
			func(s *keyServer) { s.body = keySetOf(t, 2, 2) }, // one kid, twice
			func(s *keyServer) { s.body = keySetOf(t, 2) + strings.Repeat(" ", 5<<20) },
			func(s *keyServer) { s.delay = time.Hour },
		} {
			server.set(fault)
			time.Sleep(time.Minute)
			if keys.Current() != first || keys.Err() != nil {
				t.Fatalf("a fault took the last good keys: %v", keys.Err())
			}
		}

		server.set(func(s *keyServer) { s.delay, s.body = 0, keySetOf(t, 2) })
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if verifiesNumber(t, keys, 1) || !verifiesNumber(t, keys, 2) {
			t.Error("after the fault the new keys are not there within 20 s")
		}
	})
}

func TestUnknownKid_FetchesOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{status: http.StatusOK, body: keySetOf(t, 1)}
		keys, _ := open(t, keyring.Options{JWKS: keysURL}, server)
		defer keys.Close()
		server.set(func(s *keyServer) { s.body, s.delay = keySetOf(t, 1, 2), time.Second })

		keys.Renew(t.Context(), identity.ErrUnknownKey)
		if n := server.times(); n != 1 {
			t.Errorf("fetched anew right after the last time (%d)", n)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := server.times(); n != 2 {
			t.Errorf("fetched %d times when the ten seconds are over", n)
		}
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				keys.Renew(t.Context(), identity.ErrUnknownKey)
				if !verifiesNumber(t, keys, 2) {
					t.Error("the new key is not there once the fetch is over")
				}
			})
		}
		group.Wait()
		for range 10_000 { // a flood of forged kids, for 10 s
			keys.Renew(t.Context(), identity.ErrUnknownKey)
			time.Sleep(time.Millisecond)
		}
		if n := server.times(); n > 3 {
			t.Errorf("fetched %d times in 21 s", n)
		}
	})
}

func TestUnknownKid_WaitsNoLongerThanTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{status: http.StatusOK, body: keySetOf(t, 1)}
		keys, _ := open(t, keyring.Options{JWKS: keysURL}, server)
		server.set(func(s *keyServer) { s.delay = time.Minute })
		time.Sleep(11 * time.Second)
		start := time.Now()
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				keys.Renew(ctx, identity.ErrUnknownKey)
			})
		}
		group.Wait()
		if waited := time.Since(start); waited != 2*time.Second {
			t.Errorf("waited %v", waited)
		}
		time.Sleep(time.Second)
		group.Go(func() { keys.Renew(t.Context(), identity.ErrUnknownKey) })
		synctest.Wait()
		keys.Close() // in the middle of a fetch, with one in line
		group.Wait()
		if waited := time.Since(start); waited != 3*time.Second {
			t.Errorf("Close took until %v", waited)
		}
		if !verifiesNumber(t, keys, 1) {
			t.Error("the keys are gone after Close")
		}
		keys.Renew(t.Context(), identity.ErrUnknownKey)
	})
}

func TestJWKSURL_ThatHangsTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		keys, _ := open(t, keyring.Options{JWKS: keysURL}, &keyServer{delay: time.Hour})
		defer keys.Close()
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("the start waited %v", waited)
		}
		if err := keys.Err(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Err is %v", err)
		}
	})
}

func TestJWKS_UnusableKeysAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body := strings.Replace(keySetOf(t, 1), `"keys":[`, `"keys":[{"kty":"new","kid":"n"},`, 1)
		keys, logs := open(t, keyring.Options{JWKS: keysURL}, &keyServer{status: http.StatusOK, body: body})
		defer keys.Close()
		if !verifiesNumber(t, keys, 1) {
			t.Error("the usable key is not there")
		}
		if logs.FilterMessageSnippet("unusable keys in the JWKS").Len() != 1 {
			t.Errorf("logged %v", logs.All())
		}
	})
}

// Over a real connection: what the server may not do to us.
func TestJWKSServer_IsNotTrusted(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	elsewhere := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, keySetOf(t, 1)) })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.TrimSuffix(keySetOf(t, 1), "}")+strings.Repeat(" ", 1<<20)+"}")
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, _ *http.Request) {
		elsewhere++
		io.WriteString(w, keySetOf(t, 1))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	for path, want := range map[string]string{
		"/good": "", "/huge": "more than 1048576 bytes", "/moved": "returned 302", "/file": "returned 302", "/absent": "returned 404",
	} {
		keys, err := keyring.Open(keyring.Options{JWKS: server.URL + path}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		got := keys.Err()
		keys.Close()
		if want == "" && (got != nil || !verifiesNumber(t, keys, 1)) {
			t.Errorf("%s: not loaded: %v", path, got)
		}
		if want != "" && (got == nil || !strings.Contains(got.Error(), want)) {
			t.Errorf("%s: Err is %v, want %q", path, got, want)
		}
	}
	if elsewhere != 0 {
		t.Error("a redirect was followed")
	}
}

func TestRead_ReturnsTheKeysAndThoseThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mixed := strings.Replace(keySetOf(t, 1), "[", `[{"kty":"unheard-of","kid":"u"},`, 1)
	jwks, public := write(t, filepath.Join(dir, "jwks.json"), mixed), write(t, filepath.Join(dir, "key.pem"), publicPEM(t, testKey(1)))
	for name, test := range map[string]struct {
		options keyring.Options
		skipped int
		want    string // in the error
	}{
		"a JWKS":            {keyring.Options{JWKS: jwks}, 1, ""},
		"a public key":      {keyring.Options{PublicKey: public}, 0, ""},
		"a secret":          {keyring.Options{Secret: "a secret of some length"}, 0, ""},
		"no file":           {keyring.Options{JWKS: dir + "/none"}, 0, "token jwks: "},
		"no key":            {keyring.Options{PublicKey: jwks}, 0, "token public_key: "},
		"a URL that is not": {keyring.Options{JWKS: "https://"}, 0, "invalid token jwks"},
	} {
		keys, skipped, err := keyring.Read(t.Context(), test.options)
		switch {
		case test.want == "" && (err != nil || keys == nil || len(skipped) != test.skipped):
			t.Errorf("%s: %v, %d skipped, %v", name, keys, len(skipped), err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestCheckJWKS_TakesURLsAndFiles(t *testing.T) {
	t.Parallel()
	for location, valid := range map[string]bool{
		"https://keys.example/jwks.json": true, "http://[::1]:8080/": true, "/etc/jwks.json": true, "jwks.json": true,
		"https://": false, "ftp://keys.example/jwks.json": false, "https://user:hunter2@[::1/": false,
	} {
		err := keyring.CheckJWKS(location)
		if (err == nil) != valid || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", location, err)
		}
	}
}
