package decide_test

import (
	"testing"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/resolver"
)

func decideOnce(match *route.Match, policy *decide.Policy, buffer []resolver.Question, answers []resolver.Answer) decide.Decision {
	questions := decide.Needs(buffer[:0], match, execution(taskA), policy)
	return decide.Judge(match, execution(taskA), policy, questions, answers)
}

func BenchmarkNeedsAndJudge(b *testing.B) {
	for _, request := range []string{"/variables/var_a", "/variables/var_b", "/xcoms/dag_a/r/t1/k"} {
		b.Run(request, func(b *testing.B) {
			match, err := route.Find(route.Request{Method: "GET", Path: request})
			if err != nil {
				b.Fatal(err)
			}
			var policy decide.Policy
			buffer := make([]resolver.Question, 0, decide.MaxQuestions)
			answers := ask(decide.Needs(buffer, &match, execution(taskA), &policy))
			b.ReportAllocs()
			for b.Loop() {
				decideOnce(&match, &policy, buffer, answers)
			}
		})
	}
}

func TestDecidingDoesNotAllocate(t *testing.T) {
	match, err := route.Find(route.Request{Method: "GET", Path: "/variables/var_b"})
	if err != nil {
		t.Fatal(err)
	}
	var policy decide.Policy
	who := execution(taskA)
	buffer := make([]resolver.Question, 0, decide.MaxQuestions)
	answers := ask(decide.Needs(buffer, &match, who, &policy))
	if got := testing.AllocsPerRun(100, func() {
		questions := decide.Needs(buffer[:0], &match, who, &policy)
		decide.Judge(&match, who, &policy, questions, answers)
	}); got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}
