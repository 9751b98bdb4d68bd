//go:build race

package identity_test

// raceEnabled skips counts of allocations that the race detector adds to.
const raceEnabled = true
