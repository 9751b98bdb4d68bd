package edge_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
)

const leak = "SECRET_KEY_OF_ANOTHER_TEAM"

// answers are ways in which an upstream may begin and end an answer with the leak
// in its body, its headers or its trailers.
var answers = map[string]http.HandlerFunc{
	"plain": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, leak) },
	"with a length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(leak)))
		_, _ = io.WriteString(w, leak)
	},
	"headers": func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"Refreshed-Api-Token", "Set-Cookie", "Etag", "Location", "X-Keys", "Content-Encoding", "Cache-Control", "Www-Authenticate", "Connection"} {
			w.Header().Add(name, leak)
		}
		w.Header().Set("Content-Type", "text/plain; charset="+leak)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, leak)
	},
	"flushed before the first byte": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Keys", leak)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(w, leak)
	},
	"streamed": func(w http.ResponseWriter, _ *http.Request) {
		for range 20 {
			_, _ = io.WriteString(w, leak)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond)
		}
	},
	"long": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat(leak, 1<<17)) },
	"server-sent events": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: "+leak+"\n\n")
	},
	"early hints": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "<"+leak+">")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, leak)
	},
	"trailers": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Keys")
		_, _ = io.WriteString(w, leak)
		w.Header().Set("X-Keys", leak)
		w.Header().Set(http.TrailerPrefix+"X-More", leak)
	},
	"no content": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Keys", leak)
		w.WriteHeader(http.StatusNoContent)
	},
	"not modified": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", leak)
		w.WriteHeader(http.StatusNotModified)
	},
	"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, leak, http.StatusInternalServerError) },
}

// held are the requests whose answer waits, and what may make it not pass.
var held = map[string]func(e *edge){
	"GET /variables/keys?limit=1000":           func(e *edge) { e.world.Retry(taskB) },
	"GET /assets/by-alias?alias_name=a":        func(e *edge) { e.world.Own(resolver.KindAssetAlias, "a", "team_a") },
	"GET /asset-events/by-asset-alias?name=a":  func(e *edge) { e.world.Own(resolver.KindAssetAlias, "a", "team_a") },
	"GET /asset-events/by-asset-alias?name=a&": func(e *edge) { e.world.Remove(resolver.KindTask, taskB) },
}

// over are the protocols that a worker may speak.
func over(t *testing.T) map[string]*http.Client {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	two := &http.Client{Transport: &http.Transport{Protocols: &protocols, DisableCompression: true}, Timeout: 20 * time.Second}
	t.Cleanup(two.CloseIdleConnections)
	return map[string]*http.Client{"HTTP/1.1": client, "HTTP/2.0": two}
}

func (e *edge) over(t *testing.T, protocol *http.Client, request string) response {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+e.addr+"/execution"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+sign(t, taskB, nil))
	r.Header.Set("Correlation-Id", "of this request")
	answered, err := protocol.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answered.Body.Close()
	body, err := io.ReadAll(answered.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{answered, string(body)}
}

// startHeld begins anew for each case: what a world has lost it does not get back.
func startHeld(t *testing.T) *edge {
	t.Helper()
	e := start(t, "multi_team on")
	e.world.Own(resolver.KindVariable, "keys", "")
	return e
}

func TestAnswerThatStoppedToPass_IsDroppedWhole(t *testing.T) {
	for request, change := range held {
		for name, answer := range answers {
			for protocol, client := range over(t) {
				e := startHeld(t)
				e.upstream.Answer(func(w http.ResponseWriter, r *http.Request) {
					change(e)
					answer(w, r)
				})
				got := e.over(t, client, request)
				where := fmt.Sprintf("%s, %s, over %s", request, name, protocol)
				if len(e.upstream.Take()) != 1 {
					t.Errorf("%s: it did not arrive", where)
				}
				e.isRefusal(t, where, got, http.StatusForbidden, "access_denied")
				if all := fmt.Sprint(got.Header, got.Trailer, got.body); strings.Contains(all, leak) {
					t.Errorf("%s: it leaks by %.500s", where, all)
				}
				if got.Header.Get("Content-Length") != strconv.Itoa(len(got.body)) || got.Header.Get("Correlation-Id") != "of this request" || got.Proto != protocol {
					t.Errorf("%s: %s, %v and %d bytes", where, got.Proto, got.Header, len(got.body))
				}
				for name := range got.Header {
					switch name {
					case "Content-Type", "Content-Length", "Cache-Control", "Correlation-Id", "Date", "Server":
					default:
						t.Errorf("%s: the header %s is upstream's", where, name)
					}
				}
				// The connection is good for the next request.
				e.upstream.Answer(nil)
				if got := e.over(t, client, "GET /health"); got.StatusCode != http.StatusOK {
					t.Errorf("%s: the next request is answered %d", where, got.StatusCode)
				}
			}
		}
	}
}

func TestAnswerThatStillPasses_ArrivesAsUpstreamGaveIt(t *testing.T) {
	e := startHeld(t)
	for request := range held {
		for name, answer := range answers {
			e.upstream.Answer(answer)
			for protocol, client := range over(t) {
				got, plain := e.over(t, client, request), e.over(t, client, "GET /connections/nowhere")
				where := fmt.Sprintf("%s, %s, over %s", request, name, protocol)
				if got.StatusCode != plain.StatusCode || got.body != plain.body || got.ContentLength != plain.ContentLength {
					t.Errorf("%s: %d, %d bytes of %d: want %d, %d bytes of %d", where, got.StatusCode, len(got.body), got.ContentLength, plain.StatusCode, len(plain.body), plain.ContentLength)
				}
				got.Header.Del("Date")
				plain.Header.Del("Date")
				if fmt.Sprint(got.Header, got.Trailer) != fmt.Sprint(plain.Header, plain.Trailer) {
					t.Errorf("%s: %v %v\nwant %v %v", where, got.Header, got.Trailer, plain.Header, plain.Trailer)
				}
			}
		}
	}
}

func TestAnswerThatCannotBeConfirmed_IsDropped(t *testing.T) {
	for outcome, want := range map[resolver.Outcome]int{resolver.Unavailable: http.StatusServiceUnavailable, resolver.Denied: http.StatusForbidden} {
		e := startHeld(t)
		e.upstream.Answer(func(w http.ResponseWriter, _ *http.Request) {
			e.world.Refuse(resolver.KindTask, taskB, outcome)
			_, _ = io.WriteString(w, leak)
		})
		got := e.over(t, client, "GET /variables/keys")
		if got.StatusCode != want || strings.Contains(got.body, leak) || (got.Header.Get("Retry-After") != "") != (want == http.StatusServiceUnavailable) {
			t.Errorf("%v: %d %v %s", outcome, got.StatusCode, got.Header, got.body)
		}
	}
}

// A switch of protocols hands the connection over to upstream.
func TestSwitchOfProtocols_HandsNothingOverThatStoppedToPass(t *testing.T) {
	e := startHeld(t)
	e.upstream.Answer(func(w http.ResponseWriter, _ *http.Request) {
		e.world.Retry(taskB)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Keys: "+leak+"\r\n\r\n"+leak)
		_ = conn.Close()
	})
	status, rest := e.raw(t, "GET /execution/variables/keys HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer "+
		sign(t, taskB, nil)+"\r\n\r\nGET /execution/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if status != "403" && status != "400" || strings.Contains(rest, leak) {
		t.Errorf("%s %s", status, rest)
	}
}

func TestAudit_HoldsNoAnswer(t *testing.T) {
	e := start(t, "multi_team on\nmode audit")
	e.upstream.Answer(func(w http.ResponseWriter, _ *http.Request) {
		e.world.Retry(taskB)
		_, _ = io.WriteString(w, "keys")
	})
	if got := e.over(t, client, "GET /variables/keys"); got.StatusCode != http.StatusOK || got.body != "keys" {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestVariableKeys_NeedMultiTeam(t *testing.T) {
	for options, want := range map[string]int{"": http.StatusForbidden, "multi_team on": http.StatusOK, "multi_team off": http.StatusOK} {
		e := start(t, options)
		e.world.Own(resolver.KindVariable, "keys", "")
		got := e.over(t, client, "GET /variables/keys")
		if got.StatusCode != want || want == http.StatusForbidden && !strings.Contains(got.body, "multi_team") {
			t.Errorf("%q: %d %s, want %d", options, got.StatusCode, got.body, want)
		}
	}
	t.Setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
	e := start(t, "")
	e.world.Own(resolver.KindVariable, "keys", "")
	e.allowed(t, taskB, "GET /variables/keys")
}

// TestCurrentAttempt_IsNeverCached lists once, so that all is known, and again
// once the attempt is of the past.
func TestCurrentAttempt_IsNeverCached(t *testing.T) {
	e := startHeld(t)
	e.allowed(t, taskB, "GET /variables/var_b")
	e.allowed(t, taskB, "GET /variables/keys")
	e.world.Retry(taskB)
	got := e.do(t, taskB, "GET /variables/keys")
	e.isRefusal(t, "the list", got, http.StatusForbidden, "access_denied")
	if !strings.Contains(got.body, "current attempt") {
		t.Errorf("the reason is %s", got.body)
	}
	e.allowed(t, taskB, "GET /variables/var_b") // its callbacks still run

	e.allowed(t, taskA, "GET /assets/by-alias?alias_name=mine")
	e.world.Own(resolver.KindAssetAlias, "mine", "team_b")
	e.denied(t, taskA, "GET /assets/by-alias?alias_name=mine")
	e.denied(t, taskA, "GET /asset-events/by-asset-alias?name=mine")
}
