package resolver_test

import (
	"testing"
	"testing/synctest"

	"github.com/dagfence/dagfence/resolver"
)

// TestFreshQuestion_SeesChangesWithoutInvalidation asks through the whole
// chain while another call for the same key is under way.
func TestFreshQuestion_SeesChangesWithoutInvalidation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := owned()
		chain := newChain(t, resolver.Options{Source: world})
		task, variable := ask(resolver.KindTask, task1), ask(resolver.KindVariable, variableKey)
		for _, question := range []resolver.Question{task, identityOf(task1), variable} {
			resolve(t, chain, question)
		}
		world.Forget()
		slow(world, 100*ms)
		go resolve(t, chain, as(resolver.Fresh, variable))
		synctest.Wait()
		world.Own(resolver.KindVariable, variableKey, "team_c")
		world.Remove(resolver.KindTask, task1)
		answers := chain.Resolve(t.Context(), []resolver.Question{as(resolver.Fresh, task), as(resolver.Fresh, variable)})
		expect(t, answers[0], resolver.NotFound, "")
		expect(t, answers[1], resolver.Found, "team_c")
		expectCalls(t, world, 2)
		expect(t, resolve(t, chain, as(resolver.Fresh, identityOf(task1))), resolver.NotFound, "")
		// What it learns serves others.
		world.Forget()
		expect(t, resolve(t, chain, variable), resolver.Found, "team_c")
		expectCalls(t, world, 0)
	})
}
