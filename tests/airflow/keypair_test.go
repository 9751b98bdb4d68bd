package airflow_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// TestKeyPairs lets Airflow sign with a private key. The sidecar has the same
// environment as the api-server, and reads the database itself: no lookup
// service, no Redis.
func TestKeyPairs(t *testing.T) {
	t.Parallel()
	plain := install(t, latest)
	server, w := seed(t, plain)
	url := server.URL("airflow", "airflow")
	database := connect(t, server, "airflow")
	database.remember(t)

	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key      crypto.Signer
		settings map[string]string
	}{
		// The kid of an RSA key that Airflow makes up is no RFC 7638 thumbprint.
		"RS256 with the key alone": {rsaKey, nil},
		"EdDSA with a key set":     {edKey, map[string]string{"AIRFLOW__API_AUTH__TRUSTED_JWKS_URL": jwksFile(t, edKey.Public())}},
	} {
		t.Run(name, func(t *testing.T) {
			airflow := plain.with(map[string]string{
				"AIRFLOW__API_AUTH__JWT_SECRET":           "",
				"AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH": pemFile(t, tc.key),
			}).with(tc.settings)
			upstream, wait := airflow.serve(t, url)
			w.mint(t, airflow, url)
			w.Tokens["confused"] = confused(t, tc.key.Public(), w.IDs[taskA])
			dagfence := newFence(t, airflow)
			wait()
			proxy := dagfence.proxy(t, upstream, "--database", server.URL("dagfence", "airflow"))

			ask(t, airflow, w, &deployment{upstream, database}, &deployment{proxy, database}, []cell{
				{"a variable of the own team", taskA, get("/variables/var_a"), 200, passes},
				{"a variable of the other team", taskA, get("/variables/var_b"), 404, denied},
				{"an XCom of the other team", taskB, get("/xcoms/dag_a/{run1}/t1/return_value"), 403, denied},
				{"a heartbeat", taskA, put("/task-instances/{dag_a.t1}/heartbeat", alive), 204, passes},
				{"an expired token", "expired", get("/variables/var_a"), 403, likewise},
				{"another audience", "other audience", get("/variables/var_a"), 403, likewise},
				{"a secret made of the public key", "confused", get("/variables/var_a"), 403, likewise},
			})
			dagfence.wantDiscreet(t, w)
		})
	}
}

func pemFile(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "private.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// jwksFile is the key set with the public key, named as Airflow names its keys
// (RFC 7638).
func jwksFile(t *testing.T, public crypto.PublicKey) string {
	t.Helper()
	key := jose.JSONWebKey{Key: public, Use: "sig"}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "jwks.json", set)
}

// confused is a token whose HMAC secret is the public key, which everybody knows.
func confused(t *testing.T, public crypto.PublicKey, sub string) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS512, jwt.MapClaims{
		"sub": sub, "aud": "urn:airflow.apache.org:task", "iat": 1, "exp": 1 << 33, "scope": "execution",
	}).SignedString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
