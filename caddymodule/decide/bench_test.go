package decide_test

import (
	"testing"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/resolver"
)

func decideOnce(match *route.Match, policy *decide.Policy, answers []resolver.Answer) decide.Decision {
	questions := decide.Needs(match, execution(taskA), policy)
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
			answers := ask(decide.Needs(&match, execution(taskA), &policy))
			b.ReportAllocs()
			for b.Loop() {
				decideOnce(&match, &policy, answers)
			}
		})
	}
}

func TestDeciding_AllocatesItsQuestionsAlone(t *testing.T) {
	match, err := route.Find(route.Request{Method: "GET", Path: "/variables/var_b"})
	if err != nil {
		t.Fatal(err)
	}
	var policy decide.Policy
	who := execution(taskA)
	answers := ask(decide.Needs(&match, who, &policy))
	if got := testing.AllocsPerRun(100, func() {
		questions := decide.Needs(&match, who, &policy)
		decide.Judge(&match, who, &policy, questions, answers)
	}); got > 1 {
		t.Errorf("%v allocations, want that of the questions alone", got)
	}
}
