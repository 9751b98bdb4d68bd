package route

// Reason is why a request could not be read; a closed set, for metrics.
type Reason string

// The reasons. NotFound and MethodNotAllowed concern requests that upstream
// would not serve either, Elsewhere one that it may; all others concern requests
// that two parsers could read differently.
const (
	NotFound         Reason = "unlisted_route"
	MethodNotAllowed Reason = "method_not_allowed"
	Elsewhere        Reason = "outside_base_path"
	BadPath          Reason = "bad_path"
	BadQuery         Reason = "bad_query"
	BadVersion       Reason = "bad_api_version"
	Ambiguous        Reason = "ambiguous"
)

// Error says why a request was not read as an endpoint.
type Error struct {
	Reason Reason
	// Detail is a sentence for the caller. It holds nothing of the request.
	Detail string
	// Allow lists the methods of the endpoint where Reason is MethodNotAllowed,
	// as the header of that name does (RFC 9110, section 10.2.1).
	Allow string
}

// Error returns the detail.
func (e *Error) Error() string { return e.Detail }

var errUnlisted = &Error{Reason: NotFound, Detail: "not an endpoint of the Execution API that is known here"}
