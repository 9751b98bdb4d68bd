package router_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// request is one request to send, in the parts that matter to a router.
type request struct {
	method, target string
	headers        []string
	body           string // as framed, with what follows it
}

// raw is the request on the wire.
func (r request) raw() []byte {
	return []byte(r.method + " " + r.target + " HTTP/1.1\r\nHost: airflow\r\n" + strings.Join(append(slices.Clone(r.headers), "\r\n"), "\r\n") + r.body)
}

// Names by whose they are in the strict site's world; all others are theirs.
var (
	ownNames    = []string{ownDag, "a/b", "ключ", "sp ace", "100%", "a+b", "k;x", "a:b", "pct%2Fkey", "keys", `b\c`, "q?x", "h#x", "a//b", "x/slice", "x/item/0"}
	sharedNames = []string{"shared", "a&b=c"}
	theirNames  = []string{"theirs", "own2", "Own", "own ", "a", "b", "x", "count", "previous", "slice", "item", "state", "..", ".", "_TEAM_B___SECRET", "é", "é", "ﬀ", "a\tb", "0", "-1", "null"}
)

// snippets are what parsers are known to disagree about.
var snippets = []string{
	"%2F", "%2f", "%2e", "%2E%2e", "%0A", "%0a", "%0D", "%00", "%ff", "%C0%AF", "%ED%A0%80", "%252F", "%25", "%", "%zz", "%u002F", "%E2%80%A8", "%C2%85",
	"#", "#", "#x", "?", "/", "//", "/./", "/../", "/..", "/.", ";", ";x=y", ":", "+", "\\", "#", "?", "&", "=", "*", "~", "|", "^", "\"", "<", "{", "\x7f", "\xff", "\x80", "é", "\x0b",
	"%20", "%09", "%3F", "%23", "%5C", "%3B", "%2B", "@", "!", "item/0", "slice", "/item/1", "execution/", "%EF%BC%8F", "%7f",
}

var mapIndexes = []string{
	"3", "3", "3", "3", "3", "3", "3", "3", "-1", "-1", "-1", "-1", "-1", "0", "1", "30", "3_0", "+3", "%2B3", "03", "-0", "-01", "%D9%A3", "3.0", "3.5", "%203", "3%20", "1e1", "0x3", "", "null", "true",
	"99999999999999999999", "-", "3%00", "9223372036854775807", "%EF%BC%93", "3,3", "--1", "3%0A",
}

var versions = []string{
	"2025-04-11", "2025-04-28", "2025-05-20", "2025-08-10", "2025-09-23", "2025-10-27", "2025-11-05", "2026-04-06", "2026-06-30", "2026-10-30",
}

var oddVersions = []string{
	"2025-04-10", "2025-04-12", "2025-12-31", "2026-05-01", "2999-01-01", "0000-00-00", "9999-99-99", "2026-13-45", "2026-6-30", "zzz", "", " ", "latest", "2026-06-30T00:00:00", "20260630",
	"2026-06-30 ", " 2025-11-05", "\t2025-11-05\t", "2026-06-30,2025-04-11", "٢٠٢٦-٠٦-٣٠", "-2026-06-30", "1782777600", "2025-11-05\x0b", "2025-11-05;q=1", "2025-11-05\xff",
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "Get", "gET", "QUERY", "PROPFIND", "GET\t", "G%45T", "PURGE", "M-SEARCH"}

// generator makes requests out of the real routes: mostly such as tasks send,
// with a few things in them that parsers differ about.
type generator struct {
	*rand.Rand
	table                         []route.Route
	execution, workload, callback string // tokens
	// plain leaves out what only headers can do.
	plain bool
	// own, for one request, names the own task throughout.
	own bool
}

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

func (g *generator) next() request {
	r := pick(g, g.table)
	g.own = g.chance(20)
	path := g.path(r)
	query := g.query(r)
	for range g.IntN(3) * g.IntN(2) {
		if query == "" || g.chance(70) {
			path = g.mutate(path)
		} else {
			query = g.mutate(query)
		}
	}
	target := g.mount(path)
	if query != "" {
		target += "?" + query
	}
	method := r.Method
	if g.chance(6) {
		method = pick(g, methods)
	}
	made := request{method: method, target: target, headers: g.headers(r)}
	if !g.plain && g.chance(25) {
		g.frame(&made)
	}
	return made
}

// hidden is a request for a parser to find in a body.
const hidden = "DELETE /execution/variables/theirs HTTP/1.1\r\nHost: airflow\r\nContent-Length: 0\r\n\r\n"

// trailers are names that a server may go by, were they headers.
var trailers = []string{
	"Connection: close", "Connection: keep-alive", "Connection: upgrade", "Proxy-Connection: close", "Upgrade: websocket", "Content-Length: 3", "Transfer-Encoding: chunked",
	"Keep-Alive: timeout=0", "Expect: 100-continue", "X-A: b", "Authorization: Bearer x", "Host: x", "TE: trailers", "Trailer: Connection",
}

// frame adds a body, and what may change how a connection goes on.
func (g *generator) frame(r *request) {
	add := func(lines ...string) { r.headers = append(r.headers, lines...) }
	if g.chance(30) {
		add(pick(g, []string{
			"Expect: 100-continue", "Expect: 100-Continue", "Expect: 100-continue, x", "Expect: x", "Expect: ", "TE: trailers", "TE: trailers, deflate", "TE: chunked",
			"Connection: close", "Connection: close, TE", "Connection: keep-alive, x", "Connection: content-length", "Connection: transfer-encoding", "Connection: upgrade",
			"Keep-Alive: timeout=0, max=0", "Proxy-Connection: close", "Proxy-Connection: keep-alive", "Content-Encoding: gzip", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
		}))
	}
	if g.chance(15) {
		add("Upgrade: " + pick(g, []string{"websocket", "WebSocket", "h2c", "foo", "TLS/1.2, HTTP/1.1", "websocket, h2c"}))
		if g.chance(80) {
			add(pick(g, []string{"Connection: ", "connection: "}) + pick(g, []string{"Upgrade", "upgrade", "keep-alive, Upgrade", "close, upgrade", "Upgrade, HTTP2-Settings"}))
		}
		if g.chance(30) {
			add("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
		}
	}
	content := pick(g, []string{"", "{}", `"value"`, hidden, "\r\n\r\n", "0\r\n\r\n", hidden + hidden})
	switch n := g.IntN(100); {
	case n < 15:
	case n < 45:
		add(fmt.Sprintf("Content-Length: %d", len(content)))
		r.body = content
	default:
		add(pick(g, []string{"Transfer-Encoding: chunked", "transfer-encoding: Chunked"}))
		if content != "" {
			at := g.IntN(len(content)) + 1
			r.body = fmt.Sprintf("%x%s\r\n%s\r\n", at, pick(g, []string{"", "", ";a=b", ";a=\"\\\"\"", "  "}), content[:at])
			if at < len(content) {
				r.body += fmt.Sprintf("%04X\r\n%s\r\n", len(content)-at, content[at:])
			}
		}
		r.body += "0\r\n"
		for range g.IntN(3) {
			trailer := pick(g, trailers)
			if r.body += trailer + "\r\n"; g.chance(30) {
				name, _, _ := strings.Cut(trailer, ":")
				add("Trailer: " + name)
			}
		}
		r.body += "\r\n"
	}
	if g.chance(5) {
		add("Trailer: " + pick(g, []string{"", "x", "Connection", "Content-Length", "Proxy-Connection, Connection"}))
	}
}

// path fills the parameters of a route's pattern.
func (g *generator) path(r route.Route) string {
	var path strings.Builder
	for part := range strings.SplitSeq(strings.TrimPrefix(r.Pattern, "/"), "/") {
		path.WriteByte('/')
		name, isParam := strings.CutPrefix(part, "{")
		if !isParam {
			path.WriteString(part)
			continue
		}
		path.WriteString(g.encode(g.value(strings.TrimSuffix(name, "}")), strings.HasSuffix(name, ":path}")))
	}
	return path.String()
}

// value is something to put where a parameter stands.
func (g *generator) value(name string) string {
	if own := map[string]string{"dag_id": ownDag, "run_id": ownRun, "task_id": ownID, "task_instance_id": ownTask}[name]; g.own && own != "" {
		return own
	}
	switch name {
	case "task_instance_id", "connection_test_id", "callback_id":
		return pick(g, []string{
			ownTask, ownTask, ownTask, ownTask, ownTask, ownTask, ownTask, ownTask, ownTask, ownTask, ownTask, ownTask, ownTask, strings.ToUpper(ownTask), strings.ReplaceAll(ownTask, "-", ""), "{" + ownTask + "}", "urn:uuid:" + ownTask,
			"018f0000-0000-7000-8000-00000000000b", ownTask + "0", "x", ownTask + " ",
		})
	case "offset":
		return pick(g, []string{"0", "1", "-1", "+1", "x"})
	case "run_id":
		return pick(g, []string{ownRun, ownRun, "r", "previous", "count"})
	case "task_id":
		return pick(g, []string{ownID, ownID, "t2", "item", "slice"})
	}
	switch {
	case g.chance(60):
		return pick(g, ownNames)
	case g.chance(25):
		return pick(g, sharedNames)
	}
	return pick(g, theirNames)
}

// encode writes a value as clients, and those who are no clients, may.
func (g *generator) encode(value string, rest bool) string {
	var b strings.Builder
	wild := g.chance(20)
	for _, c := range []byte(value) {
		plain := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~:+@!$'()*,;", c) >= 0 || c == '/' && rest && !wild
		switch {
		case wild && g.chance(15):
			fmt.Fprintf(&b, pick(g, []string{"%%%02x", "%%%02X", "%%%02X", "%%25%02X"}), c)
		case plain, wild && g.chance(5):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// query returns a route's parameters, and sometimes more, fewer or odd ones.
func (g *generator) query(r route.Route) string {
	var pairs []string
	names := strings.Split(r.Query, ",")
	if r.Query == "" || g.chance(5) {
		names = nil
	}
	if g.chance(15) {
		names = append(names, pick(g, []string{"dag_id", "map_index", "unknown", "name", "uri", "key", "run_id", "variable_key", "q.x", "dag_id[]", "Dag_id", "api_version"}))
	}
	for _, name := range names {
		name, _, _ = strings.Cut(name, ":")
		required := strings.Contains("dag_id name uri alias_name key logical_date run_id", name)
		if !required && !g.chance(25) || g.chance(4) {
			continue
		}
		pairs = append(pairs, g.pair(name))
		if g.chance(3) {
			pairs = append(pairs, g.pair(name))
		}
	}
	if g.chance(20) {
		g.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	}
	return strings.Join(pairs, pick(g, []string{"&", "&", "&", "&", "&", "&", "&", "&&", ";", "&amp;"}))
}

func (g *generator) pair(name string) string {
	var value string
	switch name {
	case "map_index":
		value = pick(g, mapIndexes)
	case "limit", "offset", "start", "step", "stop", "mapped_length":
		value = pick(g, []string{"1", "10", "2", "-1", "1_0", "", "+1", "01"})
	case "logical_date", "logical_dates", "before", "after":
		value = pick(g, []string{"2026-01-01T00:00:00Z", "2026-01-01T00:00:00%2B00:00", "2026-01-01", "x"})
	case "state":
		value = pick(g, []string{"success", "failed", "odd"})
	case "ascending", "include_prior_dates", "dag_result":
		value = pick(g, []string{"true", "false", "1", ""})
	default:
		value = g.encode(g.value(name), false)
	}
	if g.chance(5) { // no character of a name has to be plain
		at := g.IntN(len(name))
		name = fmt.Sprintf("%s%%%02x%s", name[:at], name[at], name[at+1:])
	}
	if g.chance(2) {
		return name
	}
	return name + "=" + value
}

// mutate does one small thing to a part of a request target.
func (g *generator) mutate(s string) string {
	at := g.IntN(len(s) + 1)
	switch g.IntN(8) {
	case 0, 1, 2:
		return s[:at] + pick(g, snippets) + s[at:]
	case 3:
		return s + pick(g, snippets)
	case 4:
		if at < len(s) {
			return s[:at] + s[at+1:]
		}
	case 5:
		if at < len(s) {
			return s[:at] + fmt.Sprintf("%%%02X", s[at]) + s[at+1:]
		}
	case 6:
		if i := strings.IndexByte(s[at:], '/'); i >= 0 {
			return s[:at+i] + pick(g, []string{"//", "%2F", "/./", "/../", "/x/../", "/%2e%2e/", "\\", "/%2F"}) + s[at+i+1:]
		}
	case 7:
		if at < len(s) {
			return s[:at] + string(s[at]^0x20) + s[at+1:]
		}
	}
	return s
}

func (g *generator) mount(path string) string {
	if g.chance(1) { // Starlette takes the slash for the line end that it drops
		return string(mount) + "/" + path + "%0A"
	}
	if g.chance(2) {
		return g.elsewhere(path)
	}
	if g.chance(94) {
		return string(mount) + path
	}
	return pick(g, []string{
		"/execution%2F", "/%65xecution", "//execution", "/execution/", "/execution/.", "/x/../execution", "/Execution", "/execution/execution", "/execution%0A",
		"http://airflow/execution", "HTTP://evil.example/execution", "/airflow/execution", "execution", "*", "", "/./execution", "/execution;x", "/execution%00", "//airflow/execution",
		"/api/v2", "/execution//", "/%2Fexecution", "/execution%252F", "airflow:443", "///execution", "/execution/%2e%2e/execution", "?/execution", "/executio%6e", "/\\execution",
	}) + path
}

// elsewhere puts a path below a mount that is not ours, in forms that Starlette or
// a proxy may tidy.
func (g *generator) elsewhere(path string) string {
	slash := func() string {
		return pick(g, []string{"/", "/", "/", "%2F", "%2f", "//", "/%2F", "/./", "/x/../", ""})
	}
	before := ""
	for range g.IntN(3) {
		before += slash() + pick(g, []string{"airflow", "ui", "api", "v2", "a", "execution", "static"})
	}
	behind := pick(g, []string{"", "", "/", "%2F", "//", "/.", "/x/..", "%2f%2E", "%0A"})
	return "/" + pick(g, []string{"airflow", "ui", "a", "execution-api", "api"}) + before + slash() +
		pick(g, []string{"execution", "execution", "execution", "%65xecution", "Execution", "executio%6E", "execution%0A"}) + behind + slash() +
		strings.TrimPrefix(path, "/") + pick(g, []string{"", "", "%0A", "%0a", "%0A%0A", "/", "%0A/", "%0D%0A", "/%0A"})
}

// version is mostly one that has the route.
func (g *generator) version(r route.Route) string {
	having := slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return v < r.Since || r.Until != "" && v > r.Until })
	if g.chance(30) {
		return pick(g, versions)
	}
	return pick(g, having)
}

func (g *generator) headers(r route.Route) []string {
	token := g.execution
	if r.TakesScope("callback") {
		token = g.callback
	}
	if r.TakesScope("workload") && (!r.TakesScope("execution") || g.chance(50)) {
		token = g.workload
	}
	headers := []string{"Authorization: Bearer " + token}
	switch n := g.IntN(100); {
	case n < 55:
	case n < 90 || g.plain:
		headers = append(headers, "Airflow-API-Version: "+g.version(r))
	case n < 97:
		headers = append(headers, "Airflow-API-Version: "+pick(g, oddVersions))
	case n < 98:
		headers = append(headers, "Airflow-API-Version: "+pick(g, versions), "airflow-api-version: "+pick(g, versions))
	case n < 99:
		headers = append(headers, pick(g, []string{"airflow_api_version: ", "AIRFLOW-API-VERSION:", "Airflow-API-Version:\t"})+pick(g, versions))
	default:
		headers = append(headers, "Airflow-API-Version: "+pick(g, versions), "Connection: "+pick(g, []string{"airflow-api-version", "x, Airflow-API-Version", "authorization", "keep-alive", "close"}))
	}
	if !g.plain && g.chance(5) {
		headers = append(headers, pick(g, []string{
			"X-Forwarded-Prefix: /execution", "X-Forwarded-Uri: /execution/variables/own", "X-Original-URL: /execution/variables/own", "X-HTTP-Method-Override: DELETE", "X-Rewrite-URL: /x",
			"Forwarded: for=x;host=y", "Content-Length: 0", "authorization: Bearer x", "Content-Type: application/json", "Upgrade: h2c", "Upgrade: websocket", "X-Empty:", "Cookie: dag_id=own", "Te: trailers",
		}))
	}
	return headers
}
