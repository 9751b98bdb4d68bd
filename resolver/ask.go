package resolver

import (
	"context"
	"fmt"
)

// pick returns the questions at the indices, as they are if none is left out.
func pick(questions []Question, indices []int) []Question {
	if len(indices) == len(questions) {
		return questions
	}
	picked := make([]Question, len(indices))
	for i, index := range indices {
		picked[i] = questions[index]
	}
	return picked
}

// ask asks next, and enforces its contract: as many answers as questions, one of
// the four outcomes each, and no task without a dag; anything else is Unavailable. A team that was not asked for is left out, and so is what only a
// [Fresh] answer has.
func ask(ctx context.Context, next Resolver, questions []Question) []Answer {
	if len(questions) == 0 {
		return []Answer{}
	}
	answers := next.Resolve(ctx, questions)
	if len(answers) != len(questions) {
		return unavailable(len(questions), fmt.Sprintf("%d answers to %d questions", len(answers), len(questions)))
	}
	for i := range answers {
		answer, question := &answers[i], &questions[i]
		switch {
		case answer.Outcome > Found:
			*answer = unavailable(1, answer.Outcome.String())[0]
		case answer.Outcome == Found && question.Kind == KindTask && answer.Task.DagID == "":
			*answer = unavailable(1, "task without dag_id")[0]
		case question.Kind == KindTask && question.IdentityOnly:
			answer.Team = ""
		}
		if question.Freshness != Fresh || question.IdentityOnly {
			answer.Current, answer.StoredTeam = false, ""
		}
	}
	return answers
}

// unavailable returns n answers that say why there is none.
func unavailable(n int, why string) []Answer {
	return every(n, Answer{Err: fmt.Errorf("%w: %s", ErrUnavailable, why)})
}

func every(n int, answer Answer) []Answer {
	answers := make([]Answer, n)
	for i := range answers {
		answers[i] = answer
	}
	return answers
}
