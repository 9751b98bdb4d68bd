package identity

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-jose/go-jose/v4"
)

// ParseJWKS reads a JSON Web Key Set (RFC 7517). A key without a kid gets its
// RFC 7638 thumbprint. Keys for encryption are left out; so are keys that can't
// be used, as PyJWT does, each with an error in skipped. A symmetric key or a kid
// that is given twice invalidates the set: neither says for sure who signed.
func ParseJWKS(document []byte) (keys *Keys, skipped []error, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, nil, errors.New("invalid JWKS: must be a JSON object with a list named keys")
	}
	public := make(map[string]Key, len(set.Keys))
	for i, raw := range set.Keys {
		var head struct {
			Kty string `json:"kty"`
			Use string `json:"use"`
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			skipped = append(skipped, fmt.Errorf("key %d is not a JWK", i))
			continue
		}
		if head.Kty == "oct" {
			return nil, nil, fmt.Errorf("key %d is symmetric (kty oct): a JWKS must have public keys only; set token secret or token secret_file to a shared secret", i)
		}
		if head.Use == "enc" {
			continue
		}
		kid, key, err := parseJWK(raw)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d can't be used: %w", i, err))
			continue
		}
		if _, taken := public[kid]; taken {
			return nil, nil, fmt.Errorf("key %d has the kid of another key: each must have its own", i)
		}
		public[kid] = key
	}
	if len(public) == 0 {
		return nil, skipped, errors.Join(append([]error{errors.New("JWKS has no usable signature key")}, skipped...)...)
	}
	keys, err = newKeySet(public)
	return keys, skipped, err
}

func parseJWK(raw []byte) (string, Key, error) {
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(raw); err != nil {
		return "", Key{}, err
	}
	public := jwk.Public()
	key, err := newKey(public.Key, jwk.Algorithm)
	if err != nil || jwk.KeyID != "" {
		return jwk.KeyID, key, err
	}
	kid, err := thumbprint(public.Key)
	return kid, key, err
}

// ParsePEM makes a set of the first public key in a PEM file. A certificate
// and an unencrypted private key (the one that Airflow signs with) serve as
// well: only their public half is kept.
//
// The set knows the key by two kids: its RFC 7638 thumbprint, and what Airflow
// (api_fastapi/auth/tokens.py key_to_jwk_dict, 3.0 to 3.3) takes for it, which
// hashes an RSA key's key_ops too. [api_auth] jwt_kid is not among them, as in
// Airflow: with jwt_private_key_path and without trusted_jwks_url it signs with
// jwt_kid, looks for the thumbprint and refuses its own tokens.
func ParsePEM(document []byte) (*Keys, error) {
	public, err := publicHalf(document)
	if err != nil {
		return nil, err
	}
	key, err := newKey(public, "")
	if err != nil {
		return nil, err
	}
	kid, err := thumbprint(public)
	if err != nil {
		return nil, err
	}
	set := map[string]Key{kid: key}
	if rsaKey, ok := public.(*rsa.PublicKey); ok {
		set[airflowThumbprint(rsaKey)] = key
	}
	return newKeySet(set)
}

func publicHalf(document []byte) (crypto.PublicKey, error) {
	var block *pem.Block
	for block, document = pem.Decode(document); block != nil; block, document = pem.Decode(document) {
		var key any
		var err error
		switch block.Type {
		case "PUBLIC KEY":
			return x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			return x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			return cert.PublicKey, nil
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("PEM private key is encrypted: create its public half with `openssl pkey -pubout`")
		default: // such as EC PARAMETERS, before the key itself
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the PEM private key: %w", err)
		}
		if signer, ok := key.(crypto.Signer); ok {
			return signer.Public(), nil
		}
		return nil, fmt.Errorf("PEM private key of type %T can't sign", key)
	}
	return nil, errors.New("no public key, private key or certificate found: must be in PEM")
}

// thumbprint is RFC 7638's, over SHA-256.
func thumbprint(public crypto.PublicKey) (string, error) {
	digest, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(digest), err
}

// airflowThumbprint is RFC 7638's with the key_ops that PyJWT writes into an
// RSA JWK, and Airflow hashes along. An Ed25519 key has none.
func airflowThumbprint(key *rsa.PublicKey) string {
	encode := base64.RawURLEncoding.EncodeToString
	digest := sha256.Sum256(fmt.Appendf(nil, `{"e":"%s","key_ops":["verify"],"kty":"RSA","n":"%s"}`,
		encode(big.NewInt(int64(key.E)).Bytes()), encode(key.N.Bytes())))
	return encode(digest[:])
}
