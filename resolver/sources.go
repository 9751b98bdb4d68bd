package resolver

import (
	"context"
	"fmt"
)

// Sources joins authorities in order of precedence: a later one is asked only
// what all before it did not find. Denied and Unavailable end the search, as
// Found does: absence is not assumed. Without any source every answer is
// Unavailable.
func Sources(sources ...Resolver) Resolver {
	return Func(func(ctx context.Context, questions []Question) []Answer {
		if len(sources) == 0 {
			return unavailable(len(questions), "no source is configured")
		}
		answers := ask(ctx, sources[0], questions)
		for _, next := range sources[1:] {
			open := absent(answers)
			if len(open) == 0 {
				break
			}
			for i, answer := range ask(ctx, next, pick(questions, open)) {
				answers[open[i]] = answer
			}
		}
		return answers
	})
}

// absent lists the indices of the answers that do not end the search.
func absent(answers []Answer) []int {
	var open []int
	for i := range answers {
		if !answers[i].Final() {
			open = append(open, i)
		}
	}
	return open
}

// pick gives the questions at the indices; all of them as they are, if none is
// left out.
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

// ask asks next, and holds it to its contract: as many answers as questions
// none but the four outcomes, and no task without a dag; anything else is
// Unavailable. A team that was not asked for is left out, and so is what only a
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
			*answer = unavailable(1, "a task was found without its dag")[0]
		case question.Kind == KindTask && question.IdentityOnly:
			answer.Team = ""
		}
		if question.Freshness != Fresh || question.IdentityOnly {
			answer.Current, answer.StoredTeam = false, ""
		}
	}
	return answers
}

// unavailable gives n answers that say why nobody could say.
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
