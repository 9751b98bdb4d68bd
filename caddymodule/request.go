package caddymodule

import (
	"net/http"
	"strings"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// maxTarget is the longest request target that is read, in bytes. Airflow's ids
// have 250 characters, a key 512.
const maxTarget = 8 << 10

// The headers that a request is judged by, in canonical form.
const (
	authorizationHeader = "Authorization"
	versionHeader       = "Airflow-Api-Version"
)

// frameError is why a request can't be judged before its path is even matched.
type frameError struct {
	reason, message string
	tooLong         bool
}

func (e *frameError) Error() string { return e.message }

var (
	errBadTarget        = &frameError{reason: "bad_target", message: "the request target is not a path without a fragment"}
	errTrailers         = &frameError{reason: "trailers", message: "the request announces trailers, which the Execution API does not read"}
	errOtherProtocol    = &frameError{reason: "other_protocol", message: "the request asks for another protocol than HTTP, which the Execution API does not speak"}
	errTargetTooLong    = &frameError{reason: "target_too_long", message: "the request target is longer than 8 KiB", tooLong: true}
	errTwoHeaders       = &frameError{reason: "duplicate_header", message: "Authorization or Airflow-API-Version is given more than once"}
	errConnectionHeader = &frameError{reason: "connection_header", message: "the Connection header names Authorization or Airflow-API-Version, which a proxy would then strip"}
)

// read finds out whether a request is for the Execution API, and gives what it
// is to be read from. It goes by the URL as the handlers before have left it;
// that is also what reverse_proxy sends.
func (h *Handler) read(r *http.Request) (request route.Request, inside bool, err error) {
	target := r.RequestURI
	// Absolute-form and authority-form are routed by one of uvicorn's parsers and
	// not by the other; so is what stands behind a #.
	if target == "" || target[0] != '/' || strings.IndexByte(target, '#') >= 0 {
		return request, true, errBadTarget
	}
	if announcesTrailers(r) {
		return request, true, errTrailers
	}
	if switchesProtocol(r) {
		return request, true, errOtherProtocol
	}
	rest, inside, err := h.mount.Locate(r.URL.Path)
	if err != nil || !inside {
		return request, err != nil, err
	}
	if len(target) > maxTarget || len(r.URL.Path)+len(r.URL.RawQuery) > maxTarget {
		return request, true, errTargetTooLong
	}
	versions := r.Header[versionHeader]
	if len(versions) > 1 || len(r.Header[authorizationHeader]) > 1 {
		return request, true, errTwoHeaders
	}
	if namesJudgedHeader(r.Header["Connection"]) {
		return request, true, errConnectionHeader
	}
	request = route.Request{Method: r.Method, Path: rest, RawQuery: r.URL.RawQuery}
	if len(versions) == 1 {
		request.APIVersion, request.HasAPIVersion = versions[0], true
	}
	return request, true, nil
}

// announcesTrailers reports whether fields may follow the body. uvicorn merges
// them into the headers, and httptools takes Connection and Proxy-Connection among
// them for the connection's: after a close it swallows what follows, which is
// another client's request. So it is asked of every request, for the Execution
// API or not. Without a chunked body, net/http leaves the header where it is.
//
// Trailers that were not announced stay in the request that net/http has made;
// Caddy's handlers get a copy of that.
func announcesTrailers(r *http.Request) bool {
	return len(r.Trailer) > 0 || len(r.Header["Trailer"]) > 0
}

// switchesProtocol tells of a request after whose headers upstream may stop
// reading HTTP, and take the body for a request of its own on a connection that
// others share: uvicorn's httptools does so on CONNECT, and on any Upgrade,
// whether it knows the protocol or not. So it is asked of every request, for
// the Execution API or not. Without a body nothing can follow the headers.
func switchesProtocol(r *http.Request) bool {
	return r.Method == http.MethodConnect || len(r.Header["Upgrade"]) > 0 && r.ContentLength != 0
}

// namesJudgedHeader tells whether a Connection header makes a header hop-by-hop
// that the request is judged by (RFC 9110, section 7.6.1).
func namesJudgedHeader(connection []string) bool {
	for _, line := range connection {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			if strings.EqualFold(name, authorizationHeader) || strings.EqualFold(name, versionHeader) {
				return true
			}
		}
	}
	return false
}
