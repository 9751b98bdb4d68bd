package identity

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/maypok86/otter/v2"
)

// maxTokenSize is the longest token, in bytes, that is looked at. Airflow's own
// have about 500.
const maxTokenSize = 8 << 10

// Config is what a token must be. The zero Config refuses every token, for lack
// of an audience.
type Config struct {
	// Algorithms are the only ones taken ([api_auth] jwt_algorithm). Empty, or
	// Airflow's "GUESS" alone: HS512 with a secret, each key's own with a key
	// set. With a key set a token must match its key's own in any case.
	Algorithms []string
	// Audience lists the audiences of which a token must name one
	// ([execution_api] jwt_audience).
	Audience []string
	// Issuer lists the issuers of which a token must name one ([api_auth]
	// jwt_issuer). Empty: not checked.
	Issuer []string
	// Leeway is how far clocks may differ ([api_auth] jwt_leeway); it applies
	// to iat, nbf and exp.
	Leeway time.Duration
}

// Verifier verifies tokens, and remembers those that it found good. Safe for
// concurrent use. Make one with [New].
type Verifier struct {
	algorithms []string
	audience   []string
	issuer     []string
	required   []string
	leeway     time.Duration
	keys       func() *Keys
	now        func() time.Time
	parser     *jwt.Parser
	cache      *otter.Cache[[sha256.Size]byte, remembered]
}

// remembered is a good token's answer, for as long as these keys are in place.
type remembered struct {
	task   Task
	during validity
	keys   *Keys
}

// New makes a Verifier. keys returns the current keys, nil while there are
// none; it is asked for every token and must be cheap. At most about cacheSize
// good tokens (1 at least) are remembered, by their SHA-256 and never as such,
// until they expire or keys returns other Keys.
func New(cfg Config, keys func() *Keys, now func() time.Time, cacheSize int) *Verifier {
	v := &Verifier{
		algorithms: slices.Clone(cfg.Algorithms),
		audience:   slices.Clone(cfg.Audience),
		issuer:     slices.Clone(cfg.Issuer),
		required:   []string{"aud", "exp", "iat", "sub"},
		leeway:     cfg.Leeway,
		keys:       keys,
		now:        now,
		// Claims are judged here, not by the parser: its boundaries and types
		// are not PyJWT's.
		parser: jwt.NewParser(jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
		cache: otter.Must(&otter.Options[[sha256.Size]byte, remembered]{
			MaximumSize: max(cacheSize, 1),
		}),
	}
	if slices.Equal(v.algorithms, []string{"GUESS"}) {
		v.algorithms = nil
	}
	if len(v.issuer) > 0 {
		v.required = append(v.required, "iss")
	}
	return v
}

// Verify returns the task that an Authorization header's value speaks for, or why
// there is none: see the errors of this package, and [Reason]. After
// [ErrUnknownKey] it is worth trying again once the keys have been fetched anew.
func (v *Verifier) Verify(header string) (Task, error) {
	token, err := bearer(header)
	if err != nil {
		return Task{}, err
	}
	keys := v.keys()
	if keys == nil {
		return Task{}, ErrNoKeys
	}
	var onStack [1 << 10]byte // longer than Airflow's tokens: spares an allocation
	hash := sha256.Sum256(append(onStack[:0], token...))
	if known, ok := v.cache.GetIfPresent(hash); ok && known.keys == keys {
		if err := known.during.check(v.now(), v.leeway); err != nil {
			v.cache.Invalidate(hash)
			return Task{}, err
		}
		return known.task, nil
	}
	claims, err := v.parse(token, keys)
	if err != nil {
		return Task{}, err
	}
	task, during, err := v.judge(claims)
	if err != nil {
		return Task{}, err
	}
	v.cache.Set(hash, remembered{task, during, keys})
	return task, nil
}

// bearer returns the token of a header, split as FastAPI's HTTPBearer does; but
// after the scheme only spaces are skipped (RFC 6750); Python strips all whitespace
// on both sides.
func bearer(header string) (string, error) {
	scheme, rest, _ := strings.Cut(header, " ")
	token := strings.TrimLeft(rest, " ")
	if token == "" || !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoToken
	}
	if len(token) > maxTokenSize {
		return "", ErrTooLarge
	}
	return token, nil
}

// parse returns the claims of a token whose signature it has verified.
func (v *Verifier) parse(token string, keys *Keys) (jwt.MapClaims, error) {
	if !wellFormed(token) {
		return nil, ErrMalformed
	}
	claims := jwt.MapClaims{}
	var refusal error
	_, err := v.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		key, err := v.keyOf(t, keys)
		refusal = err
		return key, err
	})
	switch {
	case err == nil && readAlike(token):
		return claims, nil
	case refusal != nil:
		return nil, refusal
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return nil, ErrSignature
	case errors.Is(err, jwt.ErrTokenUnverifiable): // no alg, or an unheard-of one
		return nil, ErrAlgorithm
	default:
		return nil, ErrMalformed
	}
}

// wellFormed reports whether a token is three segments of base64url letters. Go's
// decoder skips line breaks, and PyJWT takes padding; neither belongs in a
// compact JWS (RFC 7515 section 2).
func wellFormed(token string) bool {
	dots := 0
	for i := range len(token) {
		switch b := token[i]; {
		case b == '.':
			dots++
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_':
		default:
			return false
		}
	}
	return dots == 2
}

// keyOf picks the key that a token must be signed with. Nothing in the header
// can name a key that is not in keys: jku, jwk, x5u and x5c are not looked at.
func (v *Verifier) keyOf(t *jwt.Token, keys *Keys) (any, error) {
	// RFC 7515 section 4.1.11: what is critical and not understood is refused.
	// PyJWT understands b64 (RFC 7797), which no token of Airflow's has.
	for _, name := range []string{"crit", "b64"} {
		if _, given := t.Header[name]; given {
			return nil, fmt.Errorf("%w: header %s is not supported", ErrMalformed, name)
		}
	}
	kid, named := t.Header["kid"]
	id, ok := kid.(string)
	if named && !ok {
		return nil, fmt.Errorf("%w: header kid is not a string", ErrMalformed)
	}
	_, hmac := t.Method.(*jwt.SigningMethodHMAC)
	if hmac != (keys.secret != nil) || !v.allowed(t.Method.Alg(), hmac) {
		return nil, ErrAlgorithm
	}
	if hmac {
		return keys.secret, nil
	}
	if !named {
		return nil, fmt.Errorf("%w: header kid is missing", ErrMalformed)
	}
	key, known := keys.public[id]
	if !known {
		return nil, ErrUnknownKey
	}
	if key.algorithm != t.Method.Alg() {
		return nil, ErrAlgorithm
	}
	return key.public, nil
}

func (v *Verifier) allowed(algorithm string, hmac bool) bool {
	if len(v.algorithms) > 0 {
		return slices.Contains(v.algorithms, algorithm)
	}
	return !hmac || algorithm == jwt.SigningMethodHS512.Alg()
}
