package caddymodule

// What the tests of key sets need.
type (
	KeyOptions = keyOptions
	KeySource  = keySource
)

var (
	NewKeySource  = newKeySource
	OpenKeySource = openKeySource
)
