package caddymodule

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/setup"
)

// Explanation is what a fence does with a request, and why. It may name the owners of
// what is asked for, so it is for operators.
type Explanation struct {
	// Outcome and Reason are those of the metrics, and Mode is that of the rules that
	// decided.
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	Mode    string `json:"mode"`
	// Forwarded reports whether the request reaches upstream. Status and Message are
	// otherwise the fence's answer.
	Forwarded bool   `json:"forwarded"`
	Status    int    `json:"status,omitempty"`
	Message   string `json:"message,omitempty"`
	// Steps lead to it, in their order.
	Steps []ExplanationStep `json:"steps"`
	// DecidedBy are the settings without which the outcome would be another, as they
	// are, and Alternatives what would make it so.
	DecidedBy    []string `json:"decided_by,omitempty"`
	Alternatives []string `json:"alternatives,omitempty"`
}

// ExplanationStep is a step of the way to a decision: request, route, token, task,
// owner or rule.
type ExplanationStep struct {
	Step string `json:"step"`
	Text string `json:"text"`
}

// ExplainRequest is a request to explain.
type ExplainRequest struct {
	// Method and Target are those of the request line; base_path is a part of Target.
	Method, Target string
	// APIVersion is the Airflow-API-Version header; empty for none.
	APIVersion string
	// Token is the task's token. With TaskID instead, a token of that task instance is
	// assumed.
	Token, TaskID string
}

// Explain says what a fence with these settings does with a request. The fence's own
// keys and sources are asked; what other processes have in memory or in Redis is not
// seen, and not changed. An error means that no fence would start with the settings,
// or that the request is none that HTTP can carry.
func Explain(ctx context.Context, settings config.Config, asked ExplainRequest) (*Explanation, error) {
	r, err := asked.request(ctx)
	if err != nil {
		return nil, err
	}
	given := settings
	settings, origins, err := setup.Complete(settings, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	effective := settings.Effective(given, origins)
	// The fences on that Redis would decide by the answers to a question: the settings
	// here may be another fence's, such as an ownership file that is only tried.
	settings.Redis = ""
	h := &Handler{logger: zap.NewNop(), drain: new(drain)}
	h.apply(settings)
	defer func() { _ = h.Cleanup() }()
	if err := h.open(settings); err != nil { //nolint:contextcheck // what follows the keys ends with the handler
		return nil, err
	}
	if asked.TaskID == "" {
		h.keys.Renew(ctx, identity.ErrUnknownKey) // a JWKS is otherwise fetched in the background
	}
	e := explainer{Explanation: new(Explanation), h: h, settings: settings, effective: effective}
	e.directory, _ = h.chain.source.(*lookup.Directory) // nil with a lookup service
	e.explain(r, asked.TaskID)
	return e.Explanation, nil
}

// request parses the request as the server does.
func (a *ExplainRequest) request(ctx context.Context) (*http.Request, error) {
	if id, err := uuid.Parse(a.TaskID); a.TaskID != "" && (err != nil || id.String() != a.TaskID) {
		// It may be the token.
		return nil, errors.New("invalid task instance id: must be a UUID in lower case, with dashes")
	}
	line := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: fence\r\n\r\n", a.Method, a.Target)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(line)))
	if err != nil {
		// It quotes what was typed, which may be a token, or a URL with a password.
		escape := new(url.EscapeError)
		if errors.As(err, escape) {
			return nil, fmt.Errorf("the server answers 400, because it cannot read the request: %w", *escape)
		}
		return nil, errors.New("the server answers 400, because it cannot read the request: must be a method such as GET, and a path and query that begin with /")
	}
	if r.Method != a.Method || r.RequestURI != a.Target {
		return nil, errors.New("invalid method or target: must not contain whitespace")
	}
	if a.APIVersion != "" {
		r.Header[versionHeader] = []string{a.APIVersion}
	}
	if a.Token != "" {
		r.Header[authorizationHeader] = []string{"Bearer " + a.Token}
	}
	return r.WithContext(ctx), nil
}

// explainer explains one request.
type explainer struct {
	*Explanation

	h         *Handler
	settings  config.Config
	effective map[string]config.Setting
	directory *lookup.Directory
}

func (e *explainer) step(name, format string, args ...any) {
	e.Steps = append(e.Steps, ExplanationStep{name, fmt.Sprintf(format, args...)})
}

// explain takes the request the way of [Handler.ServeHTTP].
func (e *explainer) explain(r *http.Request, taskID string) {
	request, inside, refused := e.h.read(r)
	j := &result{refusal: refused}
	switch {
	case refused != nil:
		e.step("request", "refused: %s", refused.message)
	case !inside:
		e.step("request", "outside base_path %s: forwarded without a check", e.settings.BasePath)
		e.Outcome, e.Reason, e.Mode, e.Forwarded = decide.Allow.String(), "outside", e.h.policy.Mode.String(), true
		return
	default:
		e.step("request", "%s %s, behind base_path %s", request.Method, request.Path, e.settings.BasePath)
		e.judge(r, request, taskID, j)
	}
	e.h.finalize(j)
	e.conclude(r, j)
}

// judge explains what is found of the request, its token and the owners.
func (e *explainer) judge(r *http.Request, request route.Request, taskID string, j *result) {
	var err error
	if j.match, err = route.Find(request); err != nil {
		j.refusal = refusalOf(err)
		e.step("route", "refused: %s", j.refusal.message)
		return
	}
	e.explainRoute(&j.match)
	if j.match.Readings()[0].Route.NeedsToken() {
		if taskID != "" {
			j.task = identity.Task{ID: taskID, Scope: identity.ScopeExecution}
			e.step("token", "none: assumed is one of task instance %s, with scope execution", taskID)
		} else if j.task, err = e.h.verify(r); err != nil {
			j.refusal = refusalOf(err)
			e.step("token", "refused: %v", err)
			return
		} else {
			e.step("token", "valid: %s", tokenWords(&j.task))
		}
	}
	e.h.judgeOwners(r, j)
	e.explainOwners(r.Context(), j)
}

func (e *explainer) explainRoute(m *route.Match) {
	version := cmp.Or(m.APIVersion, "none given, so each that upstream may have")
	for _, reading := range m.Readings() {
		e.step("route", "%s %s (%s %s; API version: %s)", reading.Route.Method, reading.Route.Pattern,
			reading.Route.Kind, reading.Route.Action, version)
	}
	if len(m.Readings()) > 1 {
		e.step("route", "the request has to be allowed as each of these %d endpoints", len(m.Readings()))
	}
}

// explainOwners explains what the questions of the decision were answered.
func (e *explainer) explainOwners(ctx context.Context, j *result) {
	questions := decide.Needs(&j.match, &j.task, &e.h.policy)
	if len(questions) == 0 {
		e.step("owner", "nobody is asked: the endpoint and the settings decide")
		return
	}
	answers := e.h.chain.Resolve(ctx, questions)
	for i, question := range questions {
		name := "owner"
		if question.Kind == resolver.KindTask {
			name = "task"
		}
		if e.directory != nil {
			for _, text := range e.directory.Trace(ctx, question.Key) {
				e.step(name, "%s", text)
			}
		}
		e.step(name, "%s %q: %s", question.Kind, question.Name, answerWords(question, answers[i]))
	}
}

// conclude explains the decision, and which settings it depends on.
func (e *explainer) conclude(r *http.Request, j *result) {
	e.Outcome, e.Reason, e.Mode, e.Forwarded = j.Outcome.String(), string(j.Reason), j.Mode.String(), e.h.passes(j)
	e.step("rule", "%s: %s", e.Outcome, ruleWords(j))
	if !e.Forwarded {
		answer := j.response()
		e.Status, e.Message = answer.status, answer.message
	}
	if j.refusal == nil || j.refusal.unlisted {
		e.compare(r, j)
	}
}

// choice is a setting that a decision may depend on, and its values.
type choice struct {
	option string
	of     func(*config.Config) *string
	values []string
}

// choices are those of a kind of endpoint, those that change least first.
func choices(kind route.Kind) []choice {
	group := func(option string, of func(*config.Config) *string) choice {
		return choice{option, of, []string{config.Enforce, config.Audit, config.Off}}
	}
	all := []choice{
		{
			"rules xcom_writes", func(c *config.Config) *string { return &c.Rules.XComWrites },
			[]string{config.TaskInstance, config.Task, config.Dag, config.Off},
		},
		{"rules global_writes", func(c *config.Config) *string { return &c.Rules.GlobalWrites }, []string{config.Allow, config.Deny}},
		{"rules teamless_tasks", func(c *config.Config) *string { return &c.Rules.TeamlessTasks }, []string{config.Allow, config.Deny}},
		{"rules documentation", func(c *config.Config) *string { return &c.Rules.Documentation }, []string{config.Allow, config.Deny}},
		{"rules unknown_routes", func(c *config.Config) *string { return &c.Rules.UnknownRoutes }, []string{config.UnsafeAllow, config.Deny}},
	}
	switch kind {
	case route.Variable:
		all = append(all, group("rules variables", func(c *config.Config) *string { return &c.Rules.Variables }))
	case route.Connection:
		all = append(all, group("rules connections", func(c *config.Config) *string { return &c.Rules.Connections }))
	case route.XCom:
		all = append(all, group("rules xcoms", func(c *config.Config) *string { return &c.Rules.XComs }))
	case route.Dag:
		all = append(all, group("rules dags", func(c *config.Config) *string { return &c.Rules.Dags }))
	case route.Asset:
		all = append(all, group("rules assets", func(c *config.Config) *string { return &c.Rules.Assets }))
	case route.Public, route.Documentation, route.Self:
	}
	return append(all,
		choice{"multi_team", func(c *config.Config) *string { return &c.MultiTeam }, []string{config.On, config.Off}},
		choice{"mode", func(c *config.Config) *string { return &c.Mode }, []string{config.Enforce, config.Audit}},
	)
}

// compare decides again under each other value of each setting, and keeps those under
// which the request is forwarded and is not now, or the other way about.
func (e *explainer) compare(r *http.Request, j *result) {
	kind := j.kind()
	for _, setting := range choices(kind) {
		var others []string
		was := *setting.of(&e.settings)
		for _, value := range setting.values {
			changed := e.settings
			*setting.of(&changed) = value
			if value != was && e.forwards(r, j, changed) != e.Forwarded {
				others = append(others, setting.option+" "+value)
			}
		}
		if len(others) > 0 {
			e.DecidedBy = append(e.DecidedBy, fmt.Sprintf("%s %s (%s)", setting.option, was, e.effective[setting.option].From))
			e.Alternatives = append(e.Alternatives, others...)
		}
	}
	if j.Reason == decide.OtherTeam && (kind == route.Dag || kind == route.Asset && !j.Reading.Route.Action.Mutates()) {
		e.Alternatives = append([]string{"a grant in the ownership file"}, e.Alternatives...)
	}
}

// forwards reports whether a fence with other settings forwards the request.
func (e *explainer) forwards(r *http.Request, j *result, settings config.Config) bool {
	fence := &Handler{keys: e.h.keys, verifier: e.h.verifier, chain: e.h.chain, logger: e.h.logger}
	fence.apply(settings)
	again := &result{refusal: j.refusal, match: j.match, task: j.task}
	if again.refusal == nil {
		fence.judgeOwners(r, again)
	}
	fence.finalize(again)
	return fence.passes(again)
}

func tokenWords(task *identity.Task) string {
	var text strings.Builder
	fmt.Fprintf(&text, "task instance %s, scope %s", task.ID, task.Scope)
	c := &task.Claims
	for _, claim := range []struct{ name, value string }{{"dag_id", c.DagID}, {"run_id", c.RunID}, {"task_id", c.TaskID}} {
		if claim.value != "" {
			fmt.Fprintf(&text, ", %s %q", claim.name, claim.value)
		}
	}
	if c.HasMapIndex {
		fmt.Fprintf(&text, ", map_index %d", c.MapIndex)
	}
	return text.String()
}

// answerWords says what an answer is. Err of an answer has no secret.
func answerWords(question resolver.Question, answer resolver.Answer) string {
	switch answer.Outcome {
	case resolver.Found:
	case resolver.NotFound:
		return "not found"
	case resolver.Denied, resolver.Unavailable:
		return fmt.Sprintf("%v: %v", answer.Outcome, answer.Err)
	}
	var text strings.Builder
	if task := answer.Task; question.Kind == resolver.KindTask {
		fmt.Fprintf(&text, "task %q (map index %d) in run %q of dag %q; ", task.TaskID, task.MapIndex, task.RunID, task.DagID)
	}
	switch teams := append([]string{answer.Team}, answer.Others...); {
	case question.IdentityOnly:
		text.WriteString("its team does not matter here")
	case answer.Team == "":
		text.WriteString("global, it has no team")
	case len(teams) == 1:
		fmt.Fprintf(&text, "team %q", answer.Team)
	default:
		fmt.Fprintf(&text, "teams %q, each of which has to allow it", teams)
	}
	if g := answer.Grants; g != nil && question.Kind != resolver.KindTask {
		fmt.Fprintf(&text, "; granted: read to %q, trigger to %q", g.Read, g.Trigger)
	}
	if age := time.Since(answer.AsOf).Round(time.Millisecond); age > 0 {
		fmt.Fprintf(&text, " (asked %v ago)", age)
	}
	return text.String()
}

// ruleWords says which rule decided, beyond what the task is told.
func ruleWords(j *result) string {
	if j.refusal != nil {
		return j.refusal.message
	}
	text := ruleTexts[j.Reason]
	if text == "" {
		text = j.Message()
	}
	if j.TaskTeam != "" {
		text += fmt.Sprintf("; the task's team is %q", j.TaskTeam)
	}
	return text
}

// ruleTexts are the rules behind reasons.
var ruleTexts = map[decide.Reason]string{
	decide.IsPublic:        "the endpoint is public",
	decide.IsSelf:          "the path names the token's own task instance",
	decide.OwnResource:     "the task's team owns it, or it is the task's own XCom",
	decide.IsGlobal:        "it is global",
	decide.Granted:         "its owner grants it",
	decide.NotStored:       "it has no row, so upstream decides",
	decide.TeamlessTask:    "the task's dag has no team",
	decide.RuleOff:         "the group of rules is off",
	decide.SingleTeam:      "multi_team is off",
	decide.OtherTeam:       "another team owns it",
	decide.GlobalWrite:     "a task may not write what is global",
	decide.TeamEnvironment: "the key names a team's own environment variable",
	decide.NotOwnTask:      "the XCom is not the task's own",
	decide.SourceDenied:    "the lookup service refuses the fence's credentials",
	decide.SourceDown:      "no source can say now who owns it",
}
