package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/config"
)

// evidence is what the hint about a refused token is made from.
type evidence struct {
	header   map[string]any
	claims   jwt.MapClaims
	settings config.Token
	now      time.Time
}

// tokenHints has the fix for each reason of package identity.
var tokenHints = []struct {
	err  error
	hint func(evidence) string
}{
	{identity.ErrNoToken, fixed("must be the token alone, without quotes or whitespace")},
	{identity.ErrTooLarge, fixed("must be one token")},
	{identity.ErrNoKeys, fixed("fix the token keys first")},
	{identity.ErrMalformed, evidence.hintMalformed},
	{identity.ErrAlgorithm, evidence.hintAlgorithm},
	{identity.ErrUnknownKey, evidence.hintKid},
	{identity.ErrSignature, fixed("the key is not upstream's: set token secret to the api-server's AIRFLOW__API_AUTH__JWT_SECRET, " +
		"or token jwks or token public_key to the public half of the key that it signs with")},
	{identity.ErrMissingClaim, evidence.hintMissing},
	{identity.ErrExpired, func(e evidence) string {
		return e.when("exp") + ": use a newer one; if it is new, set both clocks by NTP"
	}},
	{identity.ErrNotYetValid, func(e evidence) string { return e.when("nbf") + ": set upstream's clock and this one by NTP" }},
	{identity.ErrIssuedInFuture, func(e evidence) string { return e.when("iat") + ": set upstream's clock and this one by NTP" }},
	{identity.ErrAudience, func(e evidence) string {
		return fmt.Sprintf("it is for %s, and token audience is %s: set token audience to the api-server's AIRFLOW__EXECUTION_API__JWT_AUDIENCE",
			quoted(e.claims["aud"]), quoted(e.settings.Audience))
	}},
	{identity.ErrIssuer, func(e evidence) string {
		return fmt.Sprintf("it is from %s, and token issuer is %s: set token issuer to the api-server's AIRFLOW__API_AUTH__JWT_ISSUER",
			quoted(e.claims["iss"]), quoted(e.settings.Issuer))
	}},
	{identity.ErrSubject, fixed("its sub names no task instance: use the token of a task")},
	{identity.ErrScope, func(e evidence) string {
		return fmt.Sprintf("its scope is %s: use the token of a running task", quoted(e.claims["scope"]))
	}},
}

func fixed(hint string) func(evidence) string { return func(evidence) string { return hint } }

// explain returns why the fence refuses a token, and the fix. It shows only the
// token's algorithm, kid, dates, audience, issuer and scope.
func (r *run) explain(refusal error, token string) string {
	parsed := unverified(token)
	claims, _ := parsed.Claims.(jwt.MapClaims)
	e := evidence{header: parsed.Header, claims: claims, settings: r.settings.Token, now: time.Now()}
	for _, known := range tokenHints {
		if errors.Is(refusal, known.err) {
			return refusal.Error() + ": " + known.hint(e)
		}
	}
	return refusal.Error()
}

// unverified parses a token without checking its signature; what cannot be
// parsed is empty.
func unverified(token string) *jwt.Token {
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil || parsed == nil {
		return &jwt.Token{Claims: jwt.MapClaims{}}
	}
	return parsed
}

func (e evidence) public() bool { return e.settings.JWKS != "" || e.settings.PublicKey != "" }

func (e evidence) hintMalformed() string {
	if _, named := e.header["kid"]; e.public() && e.header != nil && !named {
		return "upstream names no key: sign with AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH there, or set token secret here if it signs with one"
	}
	return "must be the whole token, as the task has it"
}

func (e evidence) hintAlgorithm() string {
	name, _ := e.header["alg"].(string)
	_, symmetric := shortest[name]
	signed := "it is signed by " + quoted(e.header["alg"]) + ": "
	switch {
	case symmetric && e.public():
		return signed + "set token secret to the api-server's AIRFLOW__API_AUTH__JWT_SECRET, and leave out token jwks and token public_key"
	case !symmetric && !e.public():
		return signed + "set token jwks or token public_key, in place of the secret, to the public half of upstream's key"
	case e.public():
		return signed + "set that as the key's alg in the JWKS, and leave out token algorithms"
	}
	return signed + "set token algorithms to that, or AIRFLOW__API_AUTH__JWT_ALGORITHM as the api-server has it"
}

func (e evidence) hintKid() string {
	return fmt.Sprintf("its kid is %s: put upstream's public key into the JWKS under that kid, which is its AIRFLOW__API_AUTH__JWT_KID or the key's thumbprint; "+
		"for token public_key, use the key of its AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH and leave JWT_KID out there", quoted(e.header["kid"]))
}

func (e evidence) hintMissing() string {
	if e.claims["iss"] == nil && len(e.settings.Issuer) > 0 {
		return "upstream names no issuer: leave out token issuer, or set AIRFLOW__API_AUTH__JWT_ISSUER at the api-server too"
	}
	return "use the token of a task: Airflow signs all of them"
}

// when returns a date of the token, and what our clock shows.
func (e evidence) when(name string) string {
	seconds, ok := e.claims[name].(float64)
	if !ok {
		return "its " + name + " cannot be read"
	}
	return fmt.Sprintf("its %s is %s, and here it is %s", name,
		time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339), e.now.UTC().Format(time.RFC3339))
}

// quoted returns a value of any type as JSON, at most 120 bytes of it.
func quoted(value any) string {
	const longest = 120
	text, err := json.Marshal(value)
	switch {
	case err != nil || value == nil:
		return "none"
	case len(text) > longest:
		return string(text[:longest]) + "..."
	}
	return string(text)
}
