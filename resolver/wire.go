package resolver

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// OwnersPath is where the lookup service answers, by POST.
const OwnersPath = "/v1/owners"

// MaxQuestions is how many questions one request to the lookup service may
// hold; a judged request of Airflow's needs two.
const MaxQuestions = 64

// OwnersRequest is the body of a request to the lookup service.
type OwnersRequest struct {
	Questions []ownersQuestion `json:"questions"`
}

// ownersQuestion asks for one thing.
type ownersQuestion struct {
	// Kind is as [Kind.String] has it.
	Kind string `json:"kind"`
	Name string `json:"name"`

	// unknown: it has a field that only a later release understands.
	unknown bool
}

// UnmarshalJSON notes a field that is not known: what it narrows the question
// to can't be answered, and the other questions can.
func (q *ownersQuestion) UnmarshalJSON(data []byte) error {
	type known ownersQuestion
	if err := json.Unmarshal(data, (*known)(q)); err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	delete(fields, "kind")
	delete(fields, "name")
	q.unknown = len(fields) > 0
	return nil
}

// OwnersResponse is the body of the lookup service's answer: one for each
// question, in their order.
type OwnersResponse struct {
	Answers []ownersAnswer `json:"answers"`
}

// ownersAnswer is what the lookup service knows about one question. A field that
// is missing means no, and one that the fence does not know is skipped: so a later
// release may add fields that permit more, and none that permits less.
type ownersAnswer struct {
	// Outcome is as [Outcome.String] has it.
	Outcome string `json:"outcome"`
	// Team is present when Outcome is found and there is one owner; "" is unowned.
	// It is a pointer so that a missing team is not taken for unowned.
	Team *string `json:"team,omitempty"`
	// Teams takes the place of Team where what is asked for has several owners. A fence that does not know it lets nothing through.
	Teams []string `json:"teams,omitempty"`
	// Readers and Triggerers are the lists of [Grants]. A fence that does not know
	// them goes by the owner.
	Readers    []string `json:"readers,omitempty"`
	Triggerers []string `json:"triggerers,omitempty"`
	// Task is present when a task was found.
	Task *ownersTask `json:"task,omitempty"`
	// Current and StoredTeam are as [Answer] has them.
	Current    bool   `json:"current,omitempty"`
	StoredTeam string `json:"stored_team,omitempty"`
	// Reason may say why Outcome is unavailable.
	Reason string `json:"reason,omitempty"`
	// AgeMS is how long ago the authority was asked, in milliseconds.
	AgeMS int64 `json:"age_ms"`
}

// ownersTask is a [Task].
type ownersTask struct {
	DagID    string `json:"dag_id"`
	RunID    string `json:"run_id"`
	TaskID   string `json:"task_id"`
	MapIndex *int   `json:"map_index"`
}

// newOwnersRequest puts questions on the wire. Freshness stays here: the
// service always says how old its answer is.
func newOwnersRequest(questions []Question) OwnersRequest {
	request := OwnersRequest{Questions: make([]ownersQuestion, len(questions))}
	for i, question := range questions {
		request.Questions[i] = ownersQuestion{Kind: question.Kind.String(), Name: question.Name}
	}
	return request
}

// Parse returns the questions, all [Fresh], or says which is none. One that only a
// later release understands has no kind.
func (r OwnersRequest) Parse() ([]Question, error) {
	if len(r.Questions) == 0 || len(r.Questions) > MaxQuestions {
		return nil, fmt.Errorf("invalid number of questions %d: must be from 1 to %d", len(r.Questions), MaxQuestions)
	}
	questions := make([]Question, len(r.Questions))
	for i, asked := range r.Questions {
		if asked.Kind == "" {
			return nil, fmt.Errorf("question %d: kind is empty", i)
		}
		if asked.Name == "" {
			return nil, fmt.Errorf("question %d: name is empty", i)
		}
		kind, _ := parseKind(asked.Kind)
		if asked.unknown {
			kind = 0
		}
		questions[i] = Question{Key: Key{Kind: kind, Name: asked.Name}}
	}
	return questions, nil
}

// NewOwnersResponse puts answers on the wire at the given time.
func NewOwnersResponse(answers []Answer, now time.Time) OwnersResponse {
	response := OwnersResponse{Answers: make([]ownersAnswer, len(answers))}
	for i := range answers {
		answer, out := &answers[i], &response.Answers[i]
		out.Outcome = answer.Outcome.String()
		if errors.Is(answer.Err, ErrNotUnderstood) {
			out.Reason = ErrNotUnderstood.Error()
		}
		if answer.Outcome <= Denied {
			continue
		}
		// Rounded up: an answer is never taken for younger than it is.
		out.AgeMS = max(0, (now.Sub(answer.AsOf) + time.Millisecond - 1).Milliseconds())
		if answer.Outcome != Found {
			continue
		}
		out.Current, out.StoredTeam = answer.Current, answer.StoredTeam
		if len(answer.Others) == 0 {
			out.Team = &answer.Team
		} else {
			out.Teams = append([]string{answer.Team}, answer.Others...)
		}
		if grants := answer.Grants; grants != nil {
			out.Readers, out.Triggerers = grants.Read, grants.Trigger
		}
		if task := answer.Task; task != (Task{}) {
			out.Task = &ownersTask{DagID: task.DagID, RunID: task.RunID, TaskID: task.TaskID, MapIndex: &task.MapIndex}
		}
	}
	return response
}

// Parse returns the answers to the questions, whose asking began at asked. An
// answer that is not as it must be makes all of them worthless: the error says
// what is wrong.
func (r OwnersResponse) Parse(questions []Question, asked time.Time) ([]Answer, error) {
	if len(r.Answers) != len(questions) {
		return nil, fmt.Errorf("%d answers to %d questions", len(r.Answers), len(questions))
	}
	answers := make([]Answer, len(questions))
	for i := range r.Answers {
		answer, err := r.Answers[i].parse(questions[i].Kind, asked)
		if err != nil {
			return nil, fmt.Errorf("answer %d: %w", i, err)
		}
		answers[i] = answer
	}
	return answers, nil
}

func (a *ownersAnswer) parse(kind Kind, asked time.Time) (Answer, error) {
	if a.AgeMS < 0 || a.AgeMS > math.MaxInt64/int64(time.Millisecond) {
		return Answer{}, errors.New("age_ms is out of range")
	}
	asOf := asked.Add(-time.Duration(a.AgeMS) * time.Millisecond)
	switch a.Outcome {
	case Found.String():
		return a.parseFound(kind, asOf)
	case NotFound.String():
		return Answer{Outcome: NotFound, AsOf: asOf}, nil
	case Denied.String():
		return Answer{Outcome: Denied, Err: fmt.Errorf("%w: returned by the lookup service", ErrDenied)}, nil
	case Unavailable.String():
		return Answer{Err: fmt.Errorf("%w: returned by the lookup service: %.200q", ErrUnavailable, a.Reason)}, nil
	}
	return Answer{}, errors.New("unknown outcome")
}

func (a *ownersAnswer) parseFound(kind Kind, asOf time.Time) (Answer, error) {
	answer := Answer{Outcome: Found, AsOf: asOf}
	switch several := len(a.Teams) > 1; {
	case a.Team != nil && len(a.Teams) == 0:
		answer.Team = *a.Team
	case a.Team == nil && several && !slices.Contains(a.Teams, ""):
		answer.Team, answer.Others = a.Teams[0], a.Teams[1:]
	default:
		return Answer{}, errors.New("must have either team or teams")
	}
	if len(a.Readers)+len(a.Triggerers) > 0 && answer.Team != "" {
		answer.Grants = &Grants{Read: a.Readers, Trigger: a.Triggerers}
	}
	if kind != KindTask {
		return answer, nil
	}
	answer.Current, answer.StoredTeam = a.Current, a.StoredTeam
	task := a.Task
	if task == nil || task.DagID == "" || task.RunID == "" || task.TaskID == "" || task.MapIndex == nil {
		return Answer{}, errors.New("task with an incomplete identity")
	}
	answer.Task = Task{DagID: task.DagID, RunID: task.RunID, TaskID: task.TaskID, MapIndex: *task.MapIndex}
	return answer, nil
}
