package identity

import "errors"

// Error is a reason for which a header names no task. Every error of
// [Verifier.Verify] is one of the variables below, or wraps one; none carries
// any part of the token.
type Error struct {
	reason  string
	message string
}

// Error returns the reason in words.
func (e *Error) Error() string { return e.message }

var (
	// ErrNoToken means that there is no bearer token: no header, another
	// scheme, or nothing behind it. Airflow answers 401.
	ErrNoToken = &Error{"no_token", "no bearer token"}
	// ErrTooLarge means that the token is longer than [maxTokenSize].
	ErrTooLarge = &Error{"token_too_large", "token is larger than 8 KiB"}
	// ErrNoKeys means that no key is loaded yet, so that no token can be
	// judged: it says nothing about this one.
	ErrNoKeys = &Error{"no_keys", "token keys not loaded yet"}

	// ErrMalformed means that the token is not a JWT that can be read in one
	// way only.
	ErrMalformed = &Error{"malformed", "token is malformed"}
	// ErrAlgorithm means that the token's algorithm is not the one that its
	// key is pinned to.
	ErrAlgorithm = &Error{"algorithm", "token algorithm is not allowed"}
	// ErrUnknownKey means that the token's kid is in no key set that is loaded.
	// Keys may have been rotated: the owner of the keys may fetch them anew.
	ErrUnknownKey = &Error{"unknown_key", "token is signed with an unknown key"}
	// ErrSignature means that the signature does not match.
	ErrSignature = &Error{"signature", "token signature does not match"}
	// ErrMissingClaim means that aud, exp, iat, sub or a wanted iss is absent
	// or null.
	ErrMissingClaim = &Error{"missing_claim", "token is missing a required claim"}
	// ErrExpired means that exp has passed by more than the leeway.
	ErrExpired = &Error{"expired", "token has expired"}
	// ErrNotYetValid means that nbf is ahead by more than the leeway.
	ErrNotYetValid = &Error{"not_yet_valid", "token is not valid yet"}
	// ErrIssuedInFuture means that iat is ahead by more than the leeway.
	ErrIssuedInFuture = &Error{"issued_in_future", "token was issued in the future"}
	// ErrAudience means that aud names none of the audiences wanted.
	ErrAudience = &Error{"audience", "token is for another audience"}
	// ErrIssuer means that iss is none of the issuers wanted.
	ErrIssuer = &Error{"issuer", "token is from another issuer"}
	// ErrSubject means that sub is not a UUID.
	ErrSubject = &Error{"subject", "token subject is not a UUID"}
	// ErrScope means that scope is none of "execution", "workload" and "callback".
	ErrScope = &Error{"scope", "token scope is unknown"}
)

// Reason returns the label of an error of this package, one of a closed set fit
// for metrics. Empty for nil, "other" for an error from elsewhere.
func Reason(err error) string {
	if err == nil {
		return ""
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known.reason
	}
	return "other"
}
