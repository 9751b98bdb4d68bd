package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/golang-jwt/jwt/v5"
)

// minRSABits is the shortest RSA key that Go's crypto/rsa verifies with.
const minRSABits = 1024

// Key is one public key and the only algorithm that it verifies. The zero Key
// verifies nothing; make one with [newKey].
type Key struct {
	algorithm string
	public    crypto.PublicKey
}

// newKey pins a public key (*rsa.PublicKey, *ecdsa.PublicKey or
// ed25519.PublicKey) to an algorithm of RFC 7518 or RFC 8037. An empty
// algorithm stands for the one that PyJWT guesses from the key: RS256, ES256,
// ES384, ES512 or EdDSA.
func newKey(public crypto.PublicKey, algorithm string) (Key, error) {
	var suits bool
	method := jwt.GetSigningMethod(algorithm)
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key.N == nil || key.N.BitLen() < minRSABits {
			return Key{}, fmt.Errorf("RSA key is shorter than %d bits", minRSABits)
		}
		if algorithm == "" {
			return Key{"RS256", public}, nil
		}
		_, pkcs := method.(*jwt.SigningMethodRSA)
		_, pss := method.(*jwt.SigningMethodRSAPSS)
		suits = pkcs || pss
	case *ecdsa.PublicKey:
		bits := key.Curve.Params().BitSize
		guess, known := map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[bits]
		if !known {
			return Key{}, fmt.Errorf("unsupported curve of %d bits: must be P-256, P-384 or P-521", bits)
		}
		if algorithm == "" {
			return Key{guess, public}, nil
		}
		suits = algorithm == guess
	case ed25519.PublicKey:
		if algorithm == "" {
			return Key{jwt.SigningMethodEdDSA.Alg(), public}, nil
		}
		suits = algorithm == jwt.SigningMethodEdDSA.Alg()
	default:
		return Key{}, fmt.Errorf("unsupported key type %T: must be RSA, EC or Ed25519", public)
	}
	if !suits {
		return Key{}, fmt.Errorf("algorithm %q does not suit a key of type %T", algorithm, public)
	}
	return Key{algorithm, public}, nil
}

// Keys is everything that tokens are verified with at one moment: a secret, or
// a set of public keys by kid, never both. It does not change once made;
// putting another one in its place forgets every token verified before. The
// zero Keys, and nil, verify nothing.
type Keys struct {
	secret []byte
	public map[string]Key
}

// NewSecret makes Keys of an HMAC secret (Airflow's [api_auth] jwt_secret).
func NewSecret(secret []byte) (*Keys, error) {
	if len(bytes.TrimSpace(secret)) == 0 {
		return nil, errors.New("secret must not be empty or only whitespace")
	}
	// PyJWT refuses it too: a public key is known to everybody, so that an HMAC
	// made with it proves nothing.
	if bytes.Contains(secret, []byte("-----BEGIN ")) {
		return nil, errors.New("secret is a PEM key or certificate: set token public_key instead")
	}
	return &Keys{secret: bytes.Clone(secret)}, nil
}

// newKeySet makes Keys of public keys by kid. It keeps the map.
func newKeySet(public map[string]Key) (*Keys, error) {
	if len(public) == 0 {
		return nil, errors.New("key set is empty")
	}
	return &Keys{public: public}, nil
}
