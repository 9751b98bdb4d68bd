package resolver

import "errors"

var (
	// ErrUnavailable is wrapped by the Err of every [Unavailable] answer.
	ErrUnavailable = errors.New("owner unavailable")
	// ErrDenied is wrapped by the Err of every [Denied] answer.
	ErrDenied = errors.New("owner denied by its source")
)
