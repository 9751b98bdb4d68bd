package main

var (
	// NewRoot returns the command dagfence.
	NewRoot = newRoot
	// Execute is what main does with its arguments.
	Execute = execute
	// ExitCode is the exit code for an error, and Sentence what is printed of it.
	ExitCode, Sentence = exitCode, sentence
	// BuildOf is what dagfence version finds out.
	BuildOf = buildOf
	// Version is what scripts/build sets.
	Version = &version
)

// Kept reports whether a command of Caddy's is kept, or why it is not.
func Kept(name string) (kept bool, reason string) {
	_, kept = keptCommands[name]
	return kept, removedCommands[name]
}
