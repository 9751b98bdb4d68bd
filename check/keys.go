package check

import (
	"context"
	"errors"
	"strings"

	"github.com/dagfence/dagfence/caddymodule/keyring"
	"github.com/dagfence/dagfence/rotate"
	"github.com/dagfence/dagfence/setup"
)

// shortest is how many bytes an HMAC secret needs at least: as many as the hash
// returns (RFC 7518, section 3.2).
var shortest = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

// checkKeys reads what tokens are verified with.
func (r *run) checkKeys(ctx context.Context) {
	const check = "token keys"
	if !r.configured {
		r.skip(check, "needs a valid configuration")
		return
	}
	t := r.settings.Token
	keys, skipped, err := keyring.Read(ctx, setup.KeyOptions(t))
	switch {
	case err != nil && strings.Contains(t.JWKS, "://"):
		r.problem(check, "%v: %s", err, hintForJWKS(err))
	case err != nil:
		r.problem(check, "%v: must be a file with upstream's own key that the fence can read", err)
	default:
		r.keys = keys
		if len(skipped) > 0 {
			r.warn(check, "keys of the JWKS are ignored: %v: replace them, or tokens signed with them are refused", errors.Join(skipped...))
			return
		}
		r.checkStrength()
		r.compareSecrets()
	}
}

// hintForJWKS returns the fix for a key set that cannot be fetched.
func hintForJWKS(err error) string {
	if !errors.Is(err, keyring.ErrNoConnection) {
		return "set the URL of a set of public keys, as in upstream's AIRFLOW__API_AUTH__TRUSTED_JWKS_URL"
	}
	return hintFor(err, setup.TLSSettings{})
}

func (r *run) checkStrength() {
	const check = "token keys"
	secret := r.secret()
	if secret == nil {
		r.ok(check, "public keys are read")
		return
	}
	for _, algorithm := range r.settings.Token.Algorithms {
		if want := shortest[algorithm]; len(secret) < want {
			r.warn(check, "the secret has %d bytes, and %s needs %d or more (RFC 7518, section 3.2), or it can be guessed from a token: "+
				"make one with `openssl rand -base64 %d`, for the api-server and the fence", len(secret), algorithm, want, want)
			return
		}
	}
	r.ok(check, "a secret of %d bytes", len(secret))
}

// secret returns the secret that signs tokens; nil where a private key does.
func (r *run) secret() []byte {
	t := r.settings.Token
	switch {
	case t.JWKS != "" || t.PublicKey != "":
		return nil
	case t.Secret != "":
		return []byte(t.Secret)
	}
	content, err := rotate.ReadFile(t.SecretFile)
	if err != nil {
		return nil
	}
	return content
}
