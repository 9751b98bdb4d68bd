package demo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/config"
)

// mount is where Airflow serves the Execution API.
const mount = route.Mount("/execution")

// maxDemoBody bounds what the stub reads of a request, in bytes.
const maxDemoBody = 1 << 20

// arrival is what upstream saw of a request: all that its answer depends on.
type arrival struct {
	method, target               string
	authorization, version, body string
}

// upstream is a stub of Airflow's Execution API on a loopback port. It answers in
// Airflow's forms from the demo's world, and stores what is written. Like the API
// itself it allows each task nearly everything. Close it.
type upstream struct {
	world *world
	saw   func(arrival)
	http  *http.Server
	url   string
}

// startUpstream calls saw with each request that arrives, before its answer;
// saw must be safe for concurrent use.
func startUpstream(ctx context.Context, w *world, saw func(arrival)) (*upstream, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the stub of the Execution API: %w", err)
	}
	u := &upstream{world: w, saw: saw, url: "http://" + listener.Addr().String()}
	u.http = &http.Server{Handler: u, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = u.http.Serve(listener) }() // until Close
	return u, nil
}

func (u *upstream) close() error { return u.http.Close() }

// reply is an answer of the stub.
type reply struct {
	status int
	// body is written as JSON; nil is no body.
	body   any
	header http.Header
}

// call is a request as Airflow reads it.
type call struct {
	*route.Reading

	// task is the task instance's id, from the token.
	task string
	body []byte
}

// ServeHTTP implements http.Handler.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDemoBody))
	if err == nil { // upstream acts only on a whole request
		u.saw(arrival{r.Method, r.RequestURI, r.Header.Get("Authorization"), r.Header.Get("Airflow-Api-Version"), string(body)})
	}
	answer := reply{status: http.StatusRequestEntityTooLarge}
	if err == nil {
		answer = u.answer(r, body)
	}
	maps.Copy(w.Header(), answer.header)
	if answer.body == nil {
		w.WriteHeader(answer.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(answer.status)
	_ = json.NewEncoder(w).Encode(answer.body) // the client may have gone
}

// answer finds the endpoint, verifies the token as Airflow does, and calls it.
func (u *upstream) answer(r *http.Request, body []byte) reply {
	path, below, err := mount.Locate(r.URL.Path)
	request := route.Request{Method: r.Method, Path: path, RawQuery: r.URL.RawQuery, APIVersion: r.Header.Get("Airflow-Api-Version")}
	request.HasAPIVersion = request.APIVersion != ""
	if err != nil || !below {
		return refusal(http.StatusNotFound, "Not Found")
	}
	match, err := route.Find(request)
	if err != nil {
		return refusal(http.StatusNotFound, "Not Found")
	}
	c := call{Reading: &match.Readings()[0], body: body}
	endpoint, known := endpoints[c.Route.Method+" "+c.Route.Pattern]
	switch {
	case !known && c.Route.Kind == route.Self:
		endpoint = (*upstream).acknowledge
	case !known:
		return refusal(http.StatusNotImplemented, "the demo's stub has no such endpoint")
	}
	if c.Route.NeedsToken() {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer {
			return refusal(http.StatusUnauthorized, "Missing auth token")
		}
		if c.task, err = u.subject(token); err != nil {
			return refusal(http.StatusForbidden, "Invalid auth token")
		}
	}
	answer, err := endpoint(u, r.Context(), c)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return refusal(http.StatusNotFound, detail{"not_found", resourceNames[c.Route.Kind] + " not found"})
	case err != nil:
		return refusal(http.StatusInternalServerError, "Internal Server Error")
	}
	return answer
}

// resourceNames are the names in Airflow's errors of not found.
var resourceNames = map[route.Kind]string{
	route.Self: "Task Instance", route.Variable: "Variable", route.Connection: "Connection",
	route.XCom: "XCom", route.Dag: "Dag or Dag run", route.Asset: "Asset",
}

// subject returns the task instance's id of a token that Airflow would accept.
func (u *upstream) subject(token string) (string, error) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return []byte(u.world.secret), nil },
		jwt.WithValidMethods([]string{"HS512"}), jwt.WithAudience(config.DefaultAudience), jwt.WithExpirationRequired())
	return claims.Subject, err
}

// detail is the body of most of Airflow's errors.
type detail struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// refusal returns an error in Airflow's form; what is a text or a [detail].
func refusal(status int, what any) reply {
	return reply{status: status, body: map[string]any{"detail": what}}
}
