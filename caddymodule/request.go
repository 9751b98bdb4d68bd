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

// The headers that a decision depends on, in canonical form.
const (
	authorizationHeader = "Authorization"
	versionHeader       = "Airflow-Api-Version"
)

// viaHeader lists the fences that a request has passed, by process id, to detect
// loops.
const viaHeader = "Dagfence-Via"

// processID is random. A client that knows it can only have its own requests
// refused.
var processID = rand.Text()

// Refusals before the path is matched.
var (
	errBadTarget        = badRequest("bad_target", "the request target is not a path without a fragment, or its query has a space in it")
	errTrailers         = badRequest("trailers", "the request has trailers, which the Execution API does not read")
	errOtherProtocol    = badRequest("other_protocol", "the request asks for another protocol than HTTP, which the Execution API does not have")
	errTwoHeaders       = badRequest("duplicate_header", "Authorization or Airflow-API-Version is given more than once")
	errConnectionHeader = badRequest("connection_header", "the Connection header names Authorization, Airflow-API-Version or Dagfence-Via, which a proxy would then strip")
	errTargetTooLong    = &refusal{
		status: http.StatusRequestURITooLong, code: "invalid_request", reason: "target_too_long",
		message: "the request target is longer than 65535 bytes, or its path than 8 KiB",
	}
	errLoop = &refusal{
		status: http.StatusLoopDetected, code: "loop", reason: "loop",
		message: "the request has already passed this fence: its upstream, or a forward proxy on the way, leads back to it",
	}
)

// read reports whether a request is for the Execution API, and returns what the
// decision depends on, or why it is refused. It uses the URL as earlier handlers have
// left it, which is also what reverse_proxy sends.
func (h *Handler) read(r *http.Request) (request route.Request, inside bool, refused *refusal) {
	target := r.RequestURI
	// One of uvicorn's parsers routes absolute-form and authority-form, and what
	// follows a #, and the other does not. A space in the query, which HTTP/2 and
	// HTTP/3 can carry, would end the target on HTTP/1.
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

// announcesTrailers reports whether fields may follow the body. uvicorn merges them
// into the headers, and httptools obeys Connection and Proxy-Connection among them:
// after a close it discards what follows, which is another client's request. So all
// requests are checked, also those outside base_path. Without a chunked body,
// net/http leaves the header where it is.
//
// Trailers that were not announced are not in the copy of the request that Caddy's
// handlers get.
func announcesTrailers(r *http.Request) bool {
	return len(r.Trailer) > 0 || len(r.Header["Trailer"]) > 0
}

// switchesProtocol reports whether upstream may stop reading HTTP after the headers,
// and take the body for another request, on a connection that others share. uvicorn's
// httptools does so on CONNECT, and on any Upgrade, whether it knows the protocol or
// not. So all requests are checked, also those outside base_path. Without a body
// nothing can follow the headers.
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

// stampedVar marks a request that was stamped since it arrived.
const stampedVar = "dagfence.stamped"

// comesBack reports whether a request has left this process before. Several fences
// of one site in sequence, such as one in handle_errors, are no loop.
func comesBack(r *http.Request) bool {
	for _, ids := range r.Header[viaHeader] { // joined by commas, or one for each
		if strings.Contains(ids, processID) {
			return caddyhttp.GetVar(r.Context(), stampedVar) == nil
		}
	}
	return false
}

// stamp adds this process to the fences that a request has passed.
func stamp(r *http.Request) {
	if caddyhttp.GetVar(r.Context(), stampedVar) == nil {
		r.Header[viaHeader] = append(r.Header[viaHeader], processID)
		caddyhttp.SetVar(r.Context(), stampedVar, true)
	}
}
