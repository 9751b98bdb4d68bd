package identity_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/caddymodule/identity"
)

const (
	secret   = "a-secret-for-tests-only"
	audience = "urn:airflow.apache.org:task"
	taskID   = "0199f7c4-8a7e-7b1a-8c55-3f0e6f0a1b2c"
	hs512    = `{"alg":"HS512","kid":"not-used","typ":"JWT"}`
)

// now is the second in which the golden tokens were issued.
var now = time.Unix(1795319302, 0)

// claims writes a payload that passes, with some claims replaced: "exp" sets
// the JSON of exp, "-exp" leaves it out.
func claims(change ...string) string {
	values := map[string]string{
		"sub": `"` + taskID + `"`, "scope": `"execution"`, "jti": `"ac7b037425d349f292ad0c75f00cae18"`,
		"aud": `"` + audience + `"`, "iat": seconds(0), "nbf": seconds(0), "exp": seconds(600),
	}
	for i := 0; i < len(change); i++ {
		if name, gone := strings.CutPrefix(change[i], "-"); gone {
			delete(values, name)
			continue
		}
		values[change[i]] = change[i+1]
		i++
	}
	pairs := make([]string, 0, len(values))
	for name, value := range values {
		pairs = append(pairs, fmt.Sprintf("%q:%s", name, value))
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func seconds(from int64) string { return fmt.Sprint(now.Unix() + from) }

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// sign makes a token of a header and a payload, whatever is in them.
func sign(tb testing.TB, alg string, key any, header, payload string) string {
	tb.Helper()
	signed := encode(header) + "." + encode(payload)
	signature, err := jwt.GetSigningMethod(alg).Sign(signed, key)
	if err != nil {
		tb.Fatalf("signing with %s: %v", alg, err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// token is what Airflow signs by default, with the secret.
func token(tb testing.TB, payload string) string {
	tb.Helper()
	return sign(tb, "HS512", []byte(secret), hs512, payload)
}

func secretKeys(tb testing.TB) *identity.Keys {
	tb.Helper()
	keys, err := identity.NewSecret([]byte(secret))
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// verifier takes what a default Airflow takes, at now.
func verifier(keys *identity.Keys, change ...func(*identity.Config)) *identity.Verifier {
	cfg := identity.Config{Audience: []string{audience}, Leeway: 10 * time.Second}
	for _, set := range change {
		set(&cfg)
	}
	return identity.New(cfg, func() *identity.Keys { return keys }, func() time.Time { return now }, 100)
}

// judgement says what a header must come to.
type judgement func(t *testing.T, task identity.Task, err error)

func allow(check func(identity.Task) bool) judgement {
	return func(t *testing.T, task identity.Task, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("refused with %v, want a task", err)
		}
		if task.ID != taskID {
			t.Errorf("task is %q, want %q", task.ID, taskID)
		}
		if !check(task) {
			t.Errorf("task is %+v", task)
		}
	}
}

func deny(want error) judgement {
	return func(t *testing.T, task identity.Task, err error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
		if task != (identity.Task{}) {
			t.Errorf("a refused token still names the task %+v", task)
		}
	}
}

var (
	execution = allow(func(t identity.Task) bool { return t.Scope == identity.ScopeExecution })
	workload  = allow(func(t identity.Task) bool { return t.Scope == identity.ScopeWorkload })
)

func TestHeader_IsReadAsFastAPIReadsIt(t *testing.T) {
	t.Parallel()
	good := token(t, claims())
	v := verifier(secretKeys(t))
	for name, tc := range map[string]struct {
		header string
		want   judgement
	}{
		"bearer":                       {"Bearer " + good, execution},
		"scheme in lower case":         {"bearer " + good, execution},
		"scheme in upper case":         {"BEARER " + good, execution},
		"two blanks before the token":  {"Bearer  " + good, execution},
		"no header":                    {"", deny(identity.ErrNoToken)},
		"scheme alone":                 {"Bearer", deny(identity.ErrNoToken)},
		"scheme and a blank":           {"Bearer ", deny(identity.ErrNoToken)},
		"scheme and blanks":            {"Bearer     ", deny(identity.ErrNoToken)},
		"blank first":                  {" Bearer " + good, deny(identity.ErrNoToken)},
		"token alone":                  {good, deny(identity.ErrNoToken)},
		"basic":                        {"Basic dXNlcjpwYXNz", deny(identity.ErrNoToken)},
		"token behind another scheme":  {"Token " + good, deny(identity.ErrNoToken)},
		"tab behind the scheme":        {"Bearer\t" + good, deny(identity.ErrNoToken)},
		"tab before the token":         {"Bearer \t" + good, deny(identity.ErrMalformed)},
		"blank behind the token":       {"Bearer " + good + " ", deny(identity.ErrMalformed)},
		"two tokens":                   {"Bearer " + good + " " + good, deny(identity.ErrMalformed)},
		"two tokens, joined by commas": {"Bearer " + good + ",Bearer " + good, deny(identity.ErrMalformed)},
		"not a token":                  {"Bearer open-sesame", deny(identity.ErrMalformed)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := v.Verify(tc.header)
			tc.want(t, task, err)
		})
	}
}

func TestClaims_AreCheckedAsByPyJWT(t *testing.T) {
	t.Parallel()
	keys := secretKeys(t)
	for name, tc := range map[string]struct {
		payload string
		want    judgement
	}{
		"as Airflow signs them": {claims(), allow(func(t identity.Task) bool {
			return t == identity.Task{ID: taskID, Scope: identity.ScopeExecution}
		})},

		"scope absent is execution": {claims("-scope"), execution},
		"scope workload":            {claims("scope", `"workload"`), workload},
		"scope null":                {claims("scope", `null`), deny(identity.ErrScope)},
		"scope list":                {claims("scope", `["execution"]`), deny(identity.ErrScope)},
		"scope empty":               {claims("scope", `""`), deny(identity.ErrScope)},
		"scope of another word":     {claims("scope", `"admin"`), deny(identity.ErrScope)},
		"scope in upper case":       {claims("scope", `"Execution"`), deny(identity.ErrScope)},
		"scope of two words":        {claims("scope", `"execution workload"`), deny(identity.ErrScope)},

		"expires in a second":                  {claims("exp", seconds(1)), execution},
		"expired within the leeway":            {claims("exp", seconds(-9)), execution},
		"expired, fraction dropped":            {claims("exp", seconds(-10)+".9"), deny(identity.ErrExpired)},
		"expired on the last second":           {claims("exp", seconds(-10)), deny(identity.ErrExpired)},
		"expired long ago":                     {claims("exp", `0`), deny(identity.ErrExpired)},
		"exp negative":                         {claims("exp", `-1`), deny(identity.ErrExpired)},
		"exp with a fraction":                  {claims("exp", seconds(600)+".25"), execution},
		"exp with an exponent":                 {claims("exp", `2e9`), execution},
		"exp absent":                           {claims("-exp"), deny(identity.ErrMissingClaim)},
		"exp null":                             {claims("exp", `null`), deny(identity.ErrMissingClaim)},
		"exp true":                             {claims("exp", `true`), deny(identity.ErrMalformed)},
		"iat absent":                           {claims("-iat"), deny(identity.ErrMissingClaim)},
		"iat a string":                         {claims("iat", `"`+seconds(0)+`"`), deny(identity.ErrMalformed)},
		"iat ahead within the leeway":          {claims("iat", seconds(10)), execution},
		"iat ahead, fraction dropped":          {claims("iat", seconds(10)+".9"), execution},
		"iat ahead of the leeway":              {claims("iat", seconds(11)), deny(identity.ErrIssuedInFuture)},
		"nbf absent":                           {claims("-nbf"), execution},
		"nbf null":                             {claims("nbf", `null`), deny(identity.ErrMalformed)},
		"nbf a string":                         {claims("nbf", `"`+seconds(0)+`"`), deny(identity.ErrMalformed)},
		"nbf ahead within the leeway":          {claims("nbf", seconds(10)), execution},
		"nbf ahead of the leeway":              {claims("nbf", seconds(11)), deny(identity.ErrNotYetValid)},
		"nbf behind":                           {claims("nbf", seconds(-86400)), execution},
		"aud in a list":                        {claims("aud", `["other","`+audience+`"]`), execution},
		"aud absent":                           {claims("-aud"), deny(identity.ErrMissingClaim)},
		"aud null":                             {claims("aud", `null`), deny(identity.ErrMissingClaim)},
		"aud of another service":               {claims("aud", `"apache-airflow"`), deny(identity.ErrAudience)},
		"aud longer than wanted":               {claims("aud", `"`+audience+`2"`), deny(identity.ErrAudience)},
		"aud a number":                         {claims("aud", `1`), deny(identity.ErrAudience)},
		"aud a list with a number in it":       {claims("aud", `["`+audience+`",1]`), deny(identity.ErrAudience)},
		"iss, where none is wanted":            {claims("iss", `"anyone"`), execution},
		"jti absent":                           {claims("-jti"), execution},
		"jti a number":                         {claims("jti", `1`), deny(identity.ErrMalformed)},
		"sub absent":                           {claims("-sub"), deny(identity.ErrMissingClaim)},
		"sub null":                             {claims("sub", `null`), deny(identity.ErrMissingClaim)},
		"sub a number":                         {claims("sub", `1`), deny(identity.ErrSubject)},
		"sub a list":                           {claims("sub", `["`+taskID+`"]`), deny(identity.ErrSubject)},
		"more claims than Airflow's own":       {claims("team", `"a"`, "nested", `{"a":[1,2]}`), execution},
		"payload is null":                      {`null`, deny(identity.ErrMissingClaim)},
		"payload is a list":                    {`[` + claims() + `]`, deny(identity.ErrMalformed)},
		"payload is two objects":               {claims() + claims(), deny(identity.ErrMalformed)},
		"payload is empty":                     {``, deny(identity.ErrMalformed)},
		"payload is cut short":                 {claims()[:40], deny(identity.ErrMalformed)},
		"everything wrong: the times are told": {claims("exp", `0`, "aud", `"x"`, "sub", `"x"`), deny(identity.ErrExpired)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := verifier(keys).Verify("Bearer " + token(t, tc.payload))
			tc.want(t, task, err)
		})
	}
}

func TestIssuer_IsCheckedIfConfigured(t *testing.T) {
	t.Parallel()
	v := verifier(secretKeys(t), func(c *identity.Config) { c.Issuer = []string{"us", "them"} })
	for name, tc := range map[string]struct {
		payload string
		want    judgement
	}{
		"the first":  {claims("iss", `"us"`), execution},
		"the second": {claims("iss", `"them"`), execution},
		"another":    {claims("iss", `"else"`), deny(identity.ErrIssuer)},
		"empty":      {claims("iss", `""`), deny(identity.ErrIssuer)},
		"a list":     {claims("iss", `["us"]`), deny(identity.ErrIssuer)},
		"absent":     {claims(), deny(identity.ErrMissingClaim)},
		"null":       {claims("iss", `null`), deny(identity.ErrMissingClaim)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := v.Verify("Bearer " + token(t, tc.payload))
			tc.want(t, task, err)
		})
	}
}

func TestSubject_IsReadAsPydanticReadsIt(t *testing.T) {
	t.Parallel()
	v := verifier(secretKeys(t))
	bare := strings.ReplaceAll(taskID, "-", "")
	for sub, want := range map[string]judgement{
		taskID:                                 execution,
		strings.ToUpper(taskID):                execution,
		bare:                                   execution,
		strings.ToUpper(bare):                  execution,
		"{" + taskID + "}":                     execution,
		"urn:uuid:" + taskID:                   execution,
		"{" + bare + "}":                       deny(identity.ErrSubject),
		"urn:uuid:" + bare:                     deny(identity.ErrSubject),
		"URN:UUID:" + taskID:                   deny(identity.ErrSubject),
		"uuid:" + taskID:                       deny(identity.ErrSubject),
		"{" + taskID:                           deny(identity.ErrSubject),
		"(" + taskID + ")":                     deny(identity.ErrSubject),
		" " + taskID:                           deny(identity.ErrSubject),
		taskID + " ":                           deny(identity.ErrSubject),
		taskID[:35]:                            deny(identity.ErrSubject),
		taskID[:35] + "g":                      deny(identity.ErrSubject),
		bare[:31] + "-":                        deny(identity.ErrSubject),
		"0x" + bare[2:]:                        deny(identity.ErrSubject),
		"0199f7c-48a7e" + bare:                 deny(identity.ErrSubject),
		bare[:31] + "٣":                        deny(identity.ErrSubject),
		bare[:16] + "-" + bare:                 deny(identity.ErrSubject),
		bare[:9] + "-" + bare[10:]:             deny(identity.ErrSubject),
		"0199f7c48-a7e-7b1a-8c55-3f0e6f0a1b2c": deny(identity.ErrSubject),
		"":                                     deny(identity.ErrSubject),
	} {
		t.Run(sub, func(t *testing.T) {
			t.Parallel()
			task, err := v.Verify("Bearer " + token(t, claims("sub", `"`+sub+`"`)))
			want(t, task, err)
		})
	}
}

func TestTaskClaims_AreReturned(t *testing.T) {
	t.Parallel()
	v := verifier(secretKeys(t))
	says := func(want identity.TaskClaims) judgement {
		return allow(func(t identity.Task) bool { return t.Claims == want })
	}
	for name, tc := range map[string]struct {
		payload string
		want    judgement
	}{
		"nothing, as Airflow up to 3.3": {claims(), says(identity.TaskClaims{})},
		"the dag alone":                 {claims("dag_id", `"d"`), says(identity.TaskClaims{DagID: "d"})},
		"all of it": {
			claims("dag_id", `"d"`, "run_id", `"r"`, "task_id", `"t"`, "map_index", `3`),
			says(identity.TaskClaims{DagID: "d", RunID: "r", TaskID: "t", MapIndex: 3, HasMapIndex: true}),
		},
		"not mapped":         {claims("map_index", `-1`), says(identity.TaskClaims{MapIndex: -1, HasMapIndex: true})},
		"map index 0":        {claims("map_index", `0`), says(identity.TaskClaims{HasMapIndex: true})},
		"in another case":    {claims("Dag_Id", `"d"`), says(identity.TaskClaims{})},
		"dag null":           {claims("dag_id", `null`), deny(identity.ErrMalformed)},
		"dag empty":          {claims("dag_id", `""`), deny(identity.ErrMalformed)},
		"run a number":       {claims("run_id", `1`), deny(identity.ErrMalformed)},
		"task a list":        {claims("task_id", `["t"]`), deny(identity.ErrMalformed)},
		"map index null":     {claims("map_index", `null`), deny(identity.ErrMalformed)},
		"map index a string": {claims("map_index", `"1"`), deny(identity.ErrMalformed)},
		"map index 1.5":      {claims("map_index", `1.5`), deny(identity.ErrMalformed)},
		"map index -2":       {claims("map_index", `-2`), deny(identity.ErrMalformed)},
		"map index huge":     {claims("map_index", `1e300`), deny(identity.ErrMalformed)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := v.Verify("Bearer " + token(t, tc.payload))
			tc.want(t, task, err)
		})
	}
}

func TestZeroValues_Deny(t *testing.T) {
	t.Parallel()
	good := "Bearer " + token(t, claims())
	clock := func() time.Time { return now }
	for name, tc := range map[string]struct {
		cfg  identity.Config
		keys *identity.Keys
		want error
	}{
		"no keys loaded": {identity.Config{Audience: []string{audience}}, nil, identity.ErrNoKeys},
		"zero keys":      {identity.Config{Audience: []string{audience}}, &identity.Keys{}, identity.ErrAlgorithm},
		"zero config":    {identity.Config{}, secretKeys(t), identity.ErrAudience},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := identity.New(tc.cfg, func() *identity.Keys { return tc.keys }, clock, 0).Verify(good)
			deny(tc.want)(t, task, err)
		})
	}
	if _, err := identity.NewKeySet(map[string]identity.Key{}); err == nil {
		t.Error("an empty key set was taken")
	}
	keys, err := identity.NewKeySet(map[string]identity.Key{"a": {}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifier(keys).Verify("Bearer " + sign(t, "EdDSA", edKey, `{"alg":"EdDSA","kid":"a"}`, claims()))
	if !errors.Is(err, identity.ErrAlgorithm) {
		t.Errorf("the zero Key: got %v, want %v", err, identity.ErrAlgorithm)
	}
}

func TestReasons_AreDistinctLabels(t *testing.T) {
	t.Parallel()
	seen := map[string]error{}
	messages := map[string]bool{}
	for _, err := range []error{
		identity.ErrNoToken, identity.ErrTooLarge, identity.ErrNoKeys, identity.ErrMalformed, identity.ErrAlgorithm,
		identity.ErrUnknownKey, identity.ErrSignature, identity.ErrMissingClaim, identity.ErrExpired,
		identity.ErrNotYetValid, identity.ErrIssuedInFuture, identity.ErrAudience, identity.ErrIssuer,
		identity.ErrSubject, identity.ErrScope, errors.New("elsewhere"),
	} {
		reason := identity.Reason(fmt.Errorf("verifying: %w", err))
		if other, taken := seen[reason]; taken || reason == "" {
			t.Errorf("%v and %v have the same reason %q", err, other, reason)
		}
		if messages[err.Error()] {
			t.Errorf("%q is the message of two reasons", err)
		}
		seen[reason], messages[err.Error()] = err, true
	}
	if reason := identity.Reason(nil); reason != "" {
		t.Errorf("no error has the reason %q", reason)
	}
}

func TestScope_HasAName(t *testing.T) {
	t.Parallel()
	for scope, want := range map[identity.Scope]string{
		0: "scope(0)", identity.ScopeExecution: "execution", identity.ScopeWorkload: "workload", identity.ScopeCallback: "callback", 9: "scope(9)",
	} {
		if got := scope.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
