package identity

var (
	NewKey    = newKey
	NewKeySet = newKeySet
)

const MaxTokenSize = maxTokenSize
