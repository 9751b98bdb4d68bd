package tokens_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

const (
	secret   = "the-secret-that-airflow-signs-with-and-nobody-else-knows-of-it"
	audience = "urn:airflow.apache.org:task"
	// Airflow takes [api_auth] jwt_issuer for one name, comma and all.
	issuer = "https://airflow.example,eu"
)

// A signer makes tokens that a deployment may know the key of.
type signer struct {
	alg, kid string
	key      any
}

// A profile is how the tokens of a deployment that pass are signed.
type profile struct {
	validator string
	weight    int // how often it is tried
	issuer    string
	audiences []string
	signers   []signer
}

// settingsOf returns the environment of each deployment's api-server, with its
// files in a directory.
func settingsOf(directory, privateKey string) map[string]environment {
	const (
		secretOf    = "AIRFLOW__API_AUTH__JWT_SECRET"
		algorithmOf = "AIRFLOW__API_AUTH__JWT_ALGORITHM"
		jwksOf      = "AIRFLOW__API_AUTH__TRUSTED_JWKS_URL"
	)
	jwks := filepath.Join(directory, "jwks.json")
	return map[string]environment{
		"secret": {secretOf: secret},
		"issuer": {
			secretOf: secret, "AIRFLOW__API_AUTH__JWT_ISSUER": issuer, "AIRFLOW__API_AUTH__JWT_LEEWAY": "0",
			"AIRFLOW__EXECUTION_API__JWT_AUDIENCE": "first, " + audience + ",third",
		},
		"algorithms": {secretOf: secret, algorithmOf: "HS256, HS384"},
		"jwks":       {jwksOf: jwks, secretOf: "not-looked-at"},
		"jwks EdDSA": {jwksOf: jwks, algorithmOf: "EdDSA"},
		"key pair":   {"AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH": filepath.Join(directory, privateKey)},
	}
}

// deployments are the profiles, with keys of their own that are in a directory:
// jwks.json, public.pem and, for Airflow alone, private.pem.
func deployments(tb testing.TB, directory string) []profile {
	tb.Helper()
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	_, namelessKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	files := map[string][]byte{
		"jwks.json": must(json.MarshalIndent(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{KeyID: "rsa", Key: rsaKey.Public(), Use: "sig"},
			{KeyID: "rsa512", Key: rsaKey.Public(), Algorithm: "RS512"},
			{KeyID: "pss", Key: rsaKey.Public(), Algorithm: "PS256"},
			{KeyID: "ec", Key: ecKey.Public()},
			{KeyID: "ed", Key: edKey.Public()},
			{KeyID: encryptionKid, Key: edKey.Public(), Use: "enc"},
			{Key: namelessKey.Public()},
		}}, "", " ")),
		"private.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(rsaKey))}),
		"public.pem":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(rsaKey.Public()))}),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	hmac := func(alg string) signer { return signer{alg, "not-used", []byte(secret)} }
	ed := signer{"EdDSA", "ed", edKey}
	return []profile{
		{"secret", 6, "", []string{audience}, []signer{hmac("HS512")}},
		{"issuer", 3, issuer, []string{"first", audience, "third"}, []signer{hmac("HS512")}},
		{"algorithms", 2, "", []string{audience}, []signer{hmac("HS256"), hmac("HS384")}},
		{"jwks", 4, "", []string{audience}, []signer{
			ed, ed, ed, ed,
			{"ES256", "ec", ecKey},
			{"ES256", "ec", ecKey},
			{"RS256", "rsa", rsaKey},
			{"RS512", "rsa512", rsaKey},
			{"PS256", "pss", rsaKey},
			{"EdDSA", encryptionKid, edKey},
			{"EdDSA", thumbprint(namelessKey.Public()), namelessKey},
		}},
		{"jwks EdDSA", 1, "", []string{audience}, []signer{ed, ed, {"RS256", "rsa", rsaKey}}},
		{"key pair", 1, "", []string{audience}, []signer{
			{"RS256", airflowThumbprint(&rsaKey.PublicKey), rsaKey},
			{"RS256", airflowThumbprint(&rsaKey.PublicKey), rsaKey},
			{"RS256", thumbprint(rsaKey.Public()), rsaKey},
		}},
	}
}

// thumbprint is RFC 7638's.
func thumbprint(key crypto.PublicKey) string {
	return base64.RawURLEncoding.EncodeToString(must((&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)))
}

// airflowThumbprint is the kid of an RSA key in Airflow without jwt_kid:
// over the key_ops that PyJWT writes as well (api_fastapi/auth/tokens.py,
// key_to_jwk_dict).
func airflowThumbprint(key *rsa.PublicKey) string {
	encode := base64.RawURLEncoding.EncodeToString
	digest := sha256.Sum256(fmt.Appendf(nil, `{"e":"%s","key_ops":["verify"],"kty":"RSA","n":"%s"}`,
		encode(big.NewInt(int64(key.E)).Bytes()), encode(key.N.Bytes())))
	return encode(digest[:])
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
