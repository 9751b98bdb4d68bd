package check

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/setup"
)

// maxSkew bounds how long a token of the check is valid: whatever answers as
// upstream decides how far the clocks are apart.
const maxSkew = 2 * time.Hour

// attempt is how a token is signed to see whether upstream takes it.
type attempt struct {
	algorithm string
	audience  []string
	issuer    string // "" for none
}

// attempts are the plain ways to sign as the settings say, then those that
// differ from it in one thing. Without the issuer comes first: an upstream that
// takes such a token signs such tokens.
func (r *run) attempts() []attempt {
	t := r.settings.Token
	issuers := append([]string{""}, t.Issuer...)
	last := issuers[len(issuers)-1]
	var all []attempt
	for _, audience := range [][]string{t.Audience, {config.DefaultAudience}} {
		for _, issuer := range issuers {
			all = append(all, attempt{t.Algorithms[0], audience, issuer})
		}
		if slices.Contains(t.Audience, config.DefaultAudience) {
			break
		}
	}
	for _, algorithm := range []string{"HS512", "HS384", "HS256"} {
		if algorithm != t.Algorithms[0] {
			all = append(all, attempt{algorithm, t.Audience, last})
		}
	}
	return all
}

// sign makes a token that names no task instance of Airflow's, and is good at
// upstream whether its clock shows one time, the other or any between. It has
// less than a fifth of its time left, so that upstream sends one of its own with
// the answer, signed as its own settings say (JWTReissueMiddleware, 3.1 to 3.3).
func (a attempt) sign(secret []byte, one, other time.Time) (token, id string, err error) {
	first, last := one, other
	if other.Before(one) {
		first, last = other, one
	}
	begin := first.Add(-5 * (last.Sub(first) + 30*time.Second)).Unix()
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	id = fmt.Sprintf("%x-%x-%x-%x-%x", random[:4], random[4:6], random[6:8], random[8:10], random[10:])
	claims := jwt.MapClaims{
		"sub": id, "scope": identity.ScopeExecution.String(), "aud": a.audience, "jti": rand.Text(),
		"iat": begin, "nbf": begin, "exp": last.Unix() + 25,
	}
	if a.issuer != "" {
		claims["iss"] = a.issuer
	}
	token, err = jwt.NewWithClaims(jwt.GetSigningMethod(a.algorithm), claims).SignedString(secret)
	return token, id, err
}

// ask sends the token with the most harmless request that needs one: for a task
// instance that does not exist, upstream answers 200 and nothing in it.
func (s *site) ask(ctx context.Context, token, id string) (reply, error) {
	return s.get(ctx, "/task-instances/"+id+"/previous-successful-dagrun", "Authorization", "Bearer "+token)
}

// checkSignature signs tokens as upstream should, and checks that upstream accepts
// them, and that the fence accepts what upstream signs.
func (r *run) checkSignature(ctx context.Context) {
	const check = "token settings"
	secret := r.secret()
	switch {
	case r.upstream == nil || r.keys == nil:
		r.skip(check, "needs upstream and the token keys")
		return
	case secret == nil:
		r.skip(check, "public keys cannot sign a token: set --token-file to a file with a task's token")
		return
	case r.skew.Abs() > maxSkew:
		r.skip(check, "the clocks are more than %v apart: set them first", maxSkew)
		return
	}
	token, answer, goOn := r.offer(ctx, secret)
	if token != "" {
		r.compare(token, answer)
	}
	if !goOn {
		return
	}
	words := answer.detail()
	for _, v := range variantsOf(secret) {
		if token, _, goOn = r.offer(ctx, v.secret); token != "" {
			r.problem(check, "upstream refuses tokens signed with the fence's secret, but accepts one signed with it %s: set the fence's secret to the api-server's, byte by byte", v.how)
		}
		if !goOn {
			return
		}
	}
	r.problem(check, "upstream refuses tokens signed with the fence's secret (%q): set token secret to the api-server's AIRFLOW__API_AUTH__JWT_SECRET; "+
		"if they are equal, token audience and token issuer to its AIRFLOW__EXECUTION_API__JWT_AUDIENCE and AIRFLOW__API_AUTH__JWT_ISSUER; "+
		`its log says which, at "Failed to validate JWT", and so does --token-file`, words)
}

// offer signs in every way until upstream takes a token, and returns that token
// with the answer. goOn reports whether upstream refused all of them; then the
// answer is the refusal that says most. What is neither is reported.
func (r *run) offer(ctx context.Context, secret []byte) (token string, answer reply, goOn bool) {
	const check = "token settings"
	var refusal reply
	for i, a := range r.attempts() {
		token, id, err := a.sign(secret, time.Now(), time.Now().Add(r.skew))
		if err != nil {
			r.problem(check, "signing a token with the secret: %v", err)
			return "", answer, false
		}
		answer, err := r.upstream.ask(ctx, token, id)
		if err == nil && answer.status == http.StatusOK {
			return token, answer, false
		}
		if !r.refused(check, answer, err) {
			return "", answer, false
		}
		if i == 0 || a.issuer != "" {
			refusal = answer
		}
	}
	return "", refusal, true
}

// refused reports whether upstream's answer is Airflow's refusal of a token. It
// adds a problem for any other answer.
func (r *run) refused(check string, answer reply, err error) bool {
	switch {
	case err != nil:
		r.problem(check, "upstream cannot be reached: %v: %s", err, hintFor(err, setup.TLSSettings{}))
	case answer.status == http.StatusUnauthorized:
		r.problem(check, "upstream answers 401 though a token was sent: let the proxies before it pass the Authorization header")
	case answer.status == http.StatusForbidden && answer.detail() != "":
		return true
	default:
		r.problem(check, "upstream answers %d, unlike the Execution API: see its log, and the proxies before it", answer.status)
	}
	return false
}

// compare checks that the fence accepts what upstream signs, at the signer's time.
// Airflow 3.0 sends no token of its own, so the check uses ours, which it accepted.
func (r *run) compare(token string, answer reply) {
	const check = "token settings"
	upstreams := answer.header.Get("Refreshed-Api-Token")
	at := time.Now()
	if upstreams != "" {
		token = upstreams
		if issued, err := unverified(token).Claims.GetIssuedAt(); err == nil && issued != nil {
			r.skew, r.dated, r.signedAt = issued.Add(half).Sub(answer.middle(at)), true, true
			at = issued.Time
		}
	}
	verifier := setup.Verifier(r.settings.Token, func() *identity.Keys { return r.keys }, func() time.Time { return at })
	if _, err := verifier.Verify("Bearer " + token); err != nil {
		r.problem(check, "upstream signs with the same secret, but the fence refuses its tokens: %s", r.explain(err, token))
		return
	}
	if upstreams == "" && r.apiVersion > "2025-08-10" { // 3.0
		r.warn(check, "upstream accepts the fence's secret, but its Refreshed-API-Token does not arrive, so tasks that outlive their token fail: "+
			"let the proxies before it pass that header")
		return
	}
	r.ok(check, "upstream and the fence accept each other's secret, algorithm, audience and issuer")
}
