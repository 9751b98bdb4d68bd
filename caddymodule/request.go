package caddymodule

import (
	"crypto/rand"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/dagfence/dagfence/caddymodule/route"
)

const (
	// maxTarget is the longest request target that is read, in bytes. httptools,
	// uvicorn's default parser, takes as many (httptools 0.9.0, parse_url; before,
	// it counted them in 16 bits and did not look for more). An ExternalTaskSensor
	// sends a parameter for each date that it waits for.
	maxTarget = 1<<16 - 1
	// maxPath is the longest path, decoded. Airflow's ids have 250 characters, a
	// key 512.
	maxPath = 8 << 10
)

// The headers that a request is judged by, in canonical form.
const (
	authorizationHeader = "Authorization"
	versionHeader       = "Airflow-Api-Version"
)

// viaHeader names the fences that a request has passed, by the id of each
// process, so that one which comes back is seen.
const viaHeader = "Dagfence-Via"

// processID is another one in each process, and not to be guessed. A client that
// knows it can have its own requests refused, and nothing else.
var processID = rand.Text()

// Why a request can't be judged before its path is even matched.
var (
	errBadTarget        = badRequest("bad_target", "the request target is not a path without a fragment, or its query has a space in it")
	errTrailers         = badRequest("trailers", "the request announces trailers, which the Execution API does not read")
	errOtherProtocol    = badRequest("other_protocol", "the request asks for another protocol than HTTP, which the Execution API does not speak")
	errTwoHeaders       = badRequest("duplicate_header", "Authorization or Airflow-API-Version is given more than once")
	errConnectionHeader = badRequest("connection_header", "the Connection header names Authorization, Airflow-API-Version or Dagfence-Via, which a proxy would then strip")
	errTargetTooLong    = &refusal{
		status: http.StatusRequestURITooLong, code: "invalid_request", reason: "target_too_long",
		message: "the request target is longer than 65535 bytes, or its path than 8 KiB",
	}
	errLoop = &refusal{
		status: http.StatusLoopDetected, code: "loop", reason: "loop",
		message: "the request has already passed this fence: its upstream, or a forward proxy on the way there, leads back to it",
	}
)

// read reports whether a request is for the Execution API, and returns what it is
// to be judged by, or why it can't be. It goes by the URL as the handlers before
// have left it; that is also what reverse_proxy sends.
func (h *Handler) read(r *http.Request) (request route.Request, inside bool, refused *refusal) {
	target := r.RequestURI
	// Absolute-form and authority-form are routed by one of uvicorn's parsers and
	// not by the other; so is what stands behind a #. A space in the query, which
	// HTTP/2 and HTTP/3 can carry, would end the target where HTTP/1 goes on.
	if target == "" || target[0] != '/' || strings.IndexByte(target, '#') >= 0 || strings.IndexByte(r.URL.RawQuery, ' ') >= 0 {
		return request, true, errBadTarget
	}
	switch connection := r.Header["Connection"]; {
	case announcesTrailers(r):
		return request, true, errTrailers
	case switchesProtocol(r):
		return request, true, errOtherProtocol
	case comesBack(r):
		return request, true, errLoop
	case namesHeader(connection, viaHeader):
		return request, true, errConnectionHeader
	case len(r.URL.Path) > maxPath:
		return request, true, errTargetTooLong
	}
	rest, inside, err := h.mount.Locate(r.URL.Path)
	if err != nil {
		return request, true, refusalOf(err)
	}
	if !inside {
		return request, false, nil
	}
	if len(target) > maxTarget || len(r.URL.EscapedPath())+len("?")+len(r.URL.RawQuery) > maxTarget {
		return request, true, errTargetTooLong
	}
	versions := r.Header[versionHeader]
	if len(versions) > 1 || len(r.Header[authorizationHeader]) > 1 {
		return request, true, errTwoHeaders
	}
	if namesHeader(r.Header["Connection"], authorizationHeader, versionHeader) {
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

// namesHeader reports whether a Connection header makes one of the headers
// hop-by-hop (RFC 9110, section 7.6.1).
func namesHeader(connection []string, headers ...string) bool {
	for _, line := range connection {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			for _, header := range headers {
				if strings.EqualFold(name, header) {
					return true
				}
			}
		}
	}
	return false
}

// stampedVar marks a request that was stamped since it arrived here.
const stampedVar = "dagfence.stamped"

// comesBack reports whether a request has left this process before. Fences of
// one site that get it one after the other, such as one in handle_errors, are no
// loop.
func comesBack(r *http.Request) bool {
	for _, ids := range r.Header[viaHeader] { // joined by commas, or one each
		if strings.Contains(ids, processID) {
			return caddyhttp.GetVar(r.Context(), stampedVar) == nil
		}
	}
	return false
}

// stamp adds this process to those that a request has passed.
func stamp(r *http.Request) {
	if caddyhttp.GetVar(r.Context(), stampedVar) == nil {
		r.Header[viaHeader] = append(r.Header[viaHeader], processID)
		caddyhttp.SetVar(r.Context(), stampedVar, true)
	}
}
