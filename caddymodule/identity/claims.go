package identity

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxNumericDate is the last second of the year 9999, the last that Python's
// datetime knows.
const maxNumericDate = 253402300799

// validity is when a token counts. The zero validity has expired.
type validity struct {
	issuedAt  time.Time
	notBefore time.Time // zero: at once
	expires   time.Time
}

// check draws PyJWT's boundaries (api_jwt.py _validate_iat, _nbf, _exp): on the
// second of iat and nbf, less the leeway, the token counts already; on that of
// exp, plus the leeway, no longer.
func (s validity) check(now time.Time, leeway time.Duration) error {
	latest := now.Add(leeway)
	switch {
	case s.issuedAt.After(latest):
		return ErrIssuedInFuture
	case s.notBefore.After(latest):
		return ErrNotYetValid
	case !s.expires.After(now.Add(-leeway)):
		return ErrExpired
	default:
		return nil
	}
}

// judge reads the claims of a token whose signature is verified, in PyJWT's
// order and then Airflow's: claim names are case-sensitive, and of a name given
// twice the last counts, as in Python.
func (v *Verifier) judge(claims jwt.MapClaims) (Task, validity, error) {
	for _, name := range v.required {
		if claims[name] == nil {
			return Task{}, validity{}, fmt.Errorf("%w: %s", ErrMissingClaim, name)
		}
	}
	during, err := readValidity(claims)
	if err != nil {
		return Task{}, validity{}, err
	}
	if err := during.check(v.now(), v.leeway); err != nil {
		return Task{}, validity{}, err
	}
	if len(v.issuer) > 0 && !isOneOf(claims["iss"], v.issuer) {
		return Task{}, validity{}, ErrIssuer
	}
	if !anyAudience(claims["aud"], v.audience) {
		return Task{}, validity{}, ErrAudience
	}
	if jti, given := claims["jti"]; given {
		if _, ok := jti.(string); !ok {
			return Task{}, validity{}, fmt.Errorf("%w: claim jti is not a string", ErrMalformed)
		}
	}
	var task Task
	if task.ID, err = readSubject(claims["sub"]); err != nil {
		return Task{}, validity{}, err
	}
	if task.Scope, err = readScope(claims); err != nil {
		return Task{}, validity{}, err
	}
	if task.Claims, err = readTaskClaims(claims); err != nil {
		return Task{}, validity{}, err
	}
	return task, during, nil
}

func readValidity(claims jwt.MapClaims) (during validity, err error) {
	if during.issuedAt, err = numericDate(claims, "iat"); err != nil {
		return validity{}, err
	}
	if _, given := claims["nbf"]; given {
		if during.notBefore, err = numericDate(claims, "nbf"); err != nil {
			return validity{}, err
		}
	}
	during.expires, err = numericDate(claims, "exp")
	return during, err
}

// numericDate drops a fraction, as PyJWT's int() does. That int() takes strings
// and true as well; Airflow signs only numbers, so nothing else is taken here.
func numericDate(claims jwt.MapClaims, name string) (time.Time, error) {
	seconds, ok := claims[name].(float64)
	if !ok || math.Abs(seconds) > maxNumericDate {
		return time.Time{}, fmt.Errorf("%w: claim %s is not a numeric date", ErrMalformed, name)
	}
	return time.Unix(int64(seconds), 0), nil
}

func isOneOf(claim any, wanted []string) bool {
	text, ok := claim.(string)
	return ok && slices.Contains(wanted, text)
}

// anyAudience takes a string or a list of strings; a list with anything else in
// it matches nothing.
func anyAudience(claim any, wanted []string) bool {
	list, ok := claim.([]any)
	if !ok {
		return isOneOf(claim, wanted)
	}
	found := false
	for _, one := range list {
		if _, ok := one.(string); !ok {
			return false
		}
		found = found || isOneOf(one, wanted)
	}
	return found
}

func readSubject(claim any) (string, error) {
	text, ok := claim.(string)
	if !ok {
		return "", ErrSubject
	}
	id, ok := canonicalUUID(text)
	if !ok {
		return "", ErrSubject
	}
	return id, nil
}

func readScope(claims jwt.MapClaims) (Scope, error) {
	claim, given := claims["scope"]
	if !given {
		return ScopeExecution, nil
	}
	for scope := ScopeExecution; int(scope) < len(scopeNames); scope++ {
		if claim == scopeNames[scope] {
			return scope, nil
		}
	}
	return 0, ErrScope
}

// readTaskClaims refuses a claim that is there but can't be what it says, rather
// than to go on as if the token were silent.
func readTaskClaims(claims jwt.MapClaims) (TaskClaims, error) {
	var claimed TaskClaims
	for _, text := range [...]struct {
		name  string
		field *string
	}{{"dag_id", &claimed.DagID}, {"run_id", &claimed.RunID}, {"task_id", &claimed.TaskID}} {
		claim, given := claims[text.name]
		if !given {
			continue
		}
		name, ok := claim.(string)
		if !ok || name == "" {
			return TaskClaims{}, fmt.Errorf("%w: claim %s is not a name", ErrMalformed, text.name)
		}
		*text.field = name
	}
	claim, given := claims["map_index"]
	if !given {
		return claimed, nil
	}
	index, ok := claim.(float64)
	if !ok || index != math.Trunc(index) || index < -1 || index > math.MaxInt32 {
		return TaskClaims{}, fmt.Errorf("%w: claim map_index is not a map index", ErrMalformed)
	}
	claimed.MapIndex, claimed.HasMapIndex = int(index), true
	return claimed, nil
}
