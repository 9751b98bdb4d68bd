package resolver

import (
	"errors"
)

var (
	// ErrUnavailable is wrapped by the Err of every [Unavailable] answer.
	ErrUnavailable = errors.New("owner unavailable")
	// ErrDenied is wrapped by the Err of every [Denied] answer.
	ErrDenied = errors.New("owner denied by its source")
	// ErrNoConnection is wrapped, with [ErrUnavailable], by the Err of an answer that
	// the lookup service could not be asked for.
	ErrNoConnection = errors.New("asking the lookup service")
	// ErrNotUnderstood is wrapped, with [ErrUnavailable], by the Err of an answer to
	// a question of a kind or with a field that only a later release understands.
	ErrNotUnderstood = errors.New("question not supported by this lookup service: upgrade it before the fences")
)
