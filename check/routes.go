package check

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/dagfence/dagfence/caddymodule/caddyjson"
)

// Routes returns what is wrong with the routes of a configuration's HTTP servers, in
// parsed JSON: requests that reach upstream without a fence, never reach the fence,
// or are changed after they were judged. There is at least one finding.
func Routes(servers map[string]any) []Finding {
	var w routesWalk
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		server, _ := servers[name].(map[string]any)
		w.server, w.named = name, asObject(server["named_routes"])
		failed := asObject(server["errors"])["routes"]
		w.routes(server["routes"], position{})
		w.routes(failed, position{}) // the error may be from before the fence
	}
	return w.findings()
}

// checkRoutes reports the findings of [Routes].
func (r *run) checkRoutes(context.Context) {
	for _, finding := range r.Routes {
		r.report(finding)
	}
}

const routesCheck = "routes"

// position is what has happened to a request so far.
type position struct {
	fenced  bool   // a fence has judged it
	matched bool   // and a matcher has selected it since
	taken   string // the directive that answers all requests, so that none gets here
	changed string // the directive that may have changed it since it came, or was judged
}

// proxied is a reverse_proxy that requests reach.
type proxied struct {
	position

	server    string
	upstreams []string
}

// routesWalk follows requests through the routes of a configuration.
type routesWalk struct {
	server  string
	named   map[string]any
	invoked []string // the named routes that are being walked

	proxies []proxied
	fenced  map[string]bool // servers with a fence
	found   []Finding
}

func (w *routesWalk) add(state State, format string, args ...any) {
	finding := Finding{Check: routesCheck, State: state, Text: fmt.Sprintf(format, args...)}
	if !slices.Contains(w.found, finding) {
		w.found = append(w.found, finding)
	}
}

// routes follows a request through a list of routes, and returns where it comes out.
func (w *routesWalk) routes(list any, at position) position {
	for _, item := range asList(list) {
		route := asObject(item)
		inside, matched := at, len(asList(route["match"])) > 0
		inside.matched = at.matched || matched
		inside = w.handlers(route["handle"], inside)
		if !matched && route["group"] == nil {
			at = inside
		} else if inside.taken == "" && inside.changed != "" {
			at.changed = inside.changed
		}
	}
	return at
}

func (w *routesWalk) handlers(list any, at position) position {
	for _, item := range asList(list) {
		at = w.handler(asObject(item), at)
	}
	return at
}

func (w *routesWalk) handler(handler map[string]any, at position) position {
	switch handler["handler"] {
	case "dagfence":
		w.fence(at)
		return position{fenced: true, taken: at.taken}
	case "subroute":
		w.routes(asObject(handler["errors"])["routes"], at)
		return w.routes(handler["routes"], at)
	case "invoke":
		return w.invoke(handler["name"], at)
	case "rewrite":
		if !at.fenced || changesURI(handler) {
			at.changed = "rewrite, uri or method"
		}
	case "headers":
		if at.fenced && changesJudgedHeader(handler["request"]) {
			at.changed = "request_header"
		}
	case "reverse_proxy":
		return w.proxy(handler, at)
	case "static_response":
		at.take("respond")
	case "error":
		at.take("error")
	case "file_server":
		if handler["pass_thru"] != true {
			at.take("file_server")
		}
	default:
		w.answers(handler, at)
	}
	return at
}

func (p *position) take(directive string) {
	if p.taken == "" {
		p.taken = directive
	}
}

func (w *routesWalk) fence(at position) {
	if w.fenced == nil {
		w.fenced = make(map[string]bool)
	}
	w.fenced[w.server] = true
	switch {
	case at.fenced:
	case at.taken != "":
		w.add(Problem, "the fence gets no requests, because %s before it answers all of them: write dagfence before it", at.taken)
	case at.changed != "":
		w.add(Warning, "%s before the fence changes the path that the fence judges, and requests outside base_path are passed through: "+
			"write dagfence before it, or remove it", at.changed)
	}
}

// invoke follows a request through a named route.
func (w *routesWalk) invoke(name any, at position) position {
	text, _ := name.(string)
	if slices.Contains(w.invoked, text) {
		return at
	}
	w.invoked = append(w.invoked, text)
	defer func() { w.invoked = w.invoked[:len(w.invoked)-1] }()
	return w.routes([]any{w.named[text]}, at)
}

// proxy follows a request into a reverse_proxy. One that asks for a path of its own
// and goes by the answer (forward_auth) is on the way, and no end.
func (w *routesWalk) proxy(handler map[string]any, at position) position {
	w.answers(handler, at)
	own := asObject(handler["rewrite"])
	if _, asks := own["uri"]; asks && len(asList(handler["handle_response"])) > 0 {
		return at
	}
	here := proxied{position: at, server: w.server, upstreams: upstreamsOf(handler)}
	if changesURI(own) || changesJudgedHeader(asObject(handler["headers"])["request"]) {
		here.changed = "reverse_proxy itself"
	}
	if at.taken == "" {
		w.proxies = append(w.proxies, here)
	}
	at.take("reverse_proxy")
	return at
}

// answers follows a request through the routes that a handler takes for an answer.
func (w *routesWalk) answers(handler map[string]any, at position) {
	for _, item := range asList(handler["handle_response"]) {
		w.routes(asObject(item)["routes"], at)
	}
}

// findings judges the proxies by which of them are for the fence's upstream.
func (w *routesWalk) findings() []Finding {
	guarded := w.guarded()
	for i := range w.proxies {
		p := &w.proxies[i]
		if len(guarded) > 0 && !slices.ContainsFunc(p.upstreams, func(upstream string) bool { return guarded[upstream] }) {
			continue
		}
		to := strings.Join(p.upstreams, ", ")
		switch {
		case p.fenced && p.changed != "":
			w.add(Problem, "%s changes requests to %s behind the fence, so that upstream gets another request than was judged: remove it", p.changed, to)
		case p.fenced || len(w.fenced) == 0:
		case w.fenced[p.server]:
			w.add(Problem, "a reverse_proxy takes requests to %s without the fence: write dagfence before it, outside of any handle or matcher", to)
		case len(guarded) > 0:
			w.add(Warning, "a reverse_proxy of another server takes requests to %s without the fence: write dagfence into that site too, "+
				"or make sure that no task reaches it", to)
		}
	}
	if len(w.found) == 0 {
		w.add(OK, "no request reaches upstream without the fence, or is changed behind it")
	}
	return w.found
}

// guarded returns the fence's upstreams: those of the proxies behind it that take
// what no matcher has picked for something else, if there are any.
func (w *routesWalk) guarded() map[string]bool {
	guarded := make(map[string]bool)
	for _, matched := range []bool{false, true} {
		for i := range w.proxies {
			if p := &w.proxies[i]; p.fenced && p.matched == matched {
				for _, upstream := range p.upstreams {
					guarded[upstream] = true
				}
			}
		}
		if len(guarded) > 0 {
			break
		}
	}
	return guarded
}

// changesURI reports whether a rewrite leaves another request than was judged. A
// path that loses its prefix is none: the fence refuses what could be an endpoint
// below any other mount.
func changesURI(rewrite map[string]any) bool {
	for name := range rewrite {
		if name != "handler" && name != "strip_path_prefix" {
			return true
		}
	}
	return false
}

// changesJudgedHeader reports whether header operations touch what requests are
// judged by.
func changesJudgedHeader(operations any) bool {
	judged := func(name string) bool {
		return slices.ContainsFunc([]string{"Authorization", "Airflow-API-Version"}, func(header string) bool {
			prefix, wild := strings.CutSuffix(name, "*")
			suffix, wildFront := strings.CutPrefix(name, "*")
			return strings.EqualFold(name, header) ||
				wild && len(prefix) <= len(header) && strings.EqualFold(header[:len(prefix)], prefix) ||
				wildFront && len(suffix) <= len(header) && strings.EqualFold(header[len(header)-len(suffix):], suffix)
		})
	}
	all := asObject(operations)
	for _, operation := range []string{"add", "set", "replace"} {
		for name := range asObject(all[operation]) {
			if judged(name) {
				return true
			}
		}
	}
	return slices.ContainsFunc(asList(all["delete"]), func(name any) bool {
		text, _ := name.(string)
		return judged(text)
	})
}

// upstreamsOf returns the addresses that a reverse_proxy sends to, in one form
// each.
func upstreamsOf(handler map[string]any) []string {
	var found []string
	if proxy, ok := caddyjson.ReverseProxyOf(handler); ok {
		for _, upstream := range proxy.Upstreams {
			dial := caddy.NewReplacer().ReplaceKnown(upstream.Dial, "")
			if host, port, err := net.SplitHostPort(dial); err == nil && (host == "" || host == "127.0.0.1" || host == "::1") {
				dial = net.JoinHostPort("localhost", port)
			}
			found = append(found, dial)
		}
	}
	if dynamic, ok := handler["dynamic_upstreams"]; ok {
		text, _ := json.Marshal(dynamic) // it was JSON
		found = append(found, string(text))
	}
	return found
}

func asList(node any) []any {
	list, _ := node.([]any)
	return list
}

func asObject(node any) map[string]any {
	object, _ := node.(map[string]any)
	return object
}
