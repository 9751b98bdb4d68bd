package lookup

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/dagfence/dagfence/resolver"
)

// directory is what the handler needs of a [Directory].
type directory interface {
	resolver.Resolver
	Ready(ctx context.Context) error
	OwnershipError() error
}

// handler answers the service's four paths; docs/openapi/lookup.yaml describes
// them.
type handler struct {
	directory directory
	// tokens returns the bearer secrets, one of which is asked for; nil where none
	// is.
	tokens func() []string
	// certificate: a verified client certificate is asked for.
	certificate bool
	metrics     *metrics
	logger      *slog.Logger
}

// newHandler serves a directory. Nil tokens ask for none; certificate wants a
// client certificate that was verified.
func newHandler(d directory, tokens func() []string, certificate bool, metrics *metrics, logger *slog.Logger) http.Handler {
	h := &handler{directory: d, tokens: tokens, certificate: certificate, metrics: metrics, logger: logger}
	mux := http.NewServeMux()
	mux.Handle(resolver.OwnersPath, h.only(http.MethodPost, h.owners))
	mux.Handle("/live", h.only(http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
		h.write(w, http.StatusOK, map[string]bool{"live": true})
	}))
	mux.Handle("/ready", h.only(http.MethodGet, h.ready))
	mux.Handle("/metrics", h.only(http.MethodGet, h.metrics.handler().ServeHTTP))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		h.refuse(w, http.StatusNotFound, "not found")
	})
	return h.recovered(mux)
}

// only refuses other methods than the given one; HEAD goes with GET.
func (h *handler) only(method string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", method)
			h.refuse(w, http.StatusMethodNotAllowed, "the method must be "+method)
			return
		}
		next(w, r)
	})
}

func (h *handler) owners(w http.ResponseWriter, r *http.Request) {
	if !h.authenticated(r) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		h.refuse(w, http.StatusUnauthorized, "the bearer token or client certificate is missing or wrong")
		return
	}
	if r.Header.Get("Content-Type") != "application/json" {
		h.refuse(w, http.StatusUnsupportedMediaType, "the Content-Type must be application/json")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		h.refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is too long: must be at most %d bytes", maxBody))
		return
	} else if err != nil {
		h.refuse(w, http.StatusBadRequest, "incomplete body")
		return
	}
	questions, err := readQuestions(body)
	if err != nil {
		h.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	start := time.Now()
	answers := h.directory.Resolve(r.Context(), questions)
	h.metrics.observe(questions, answers, time.Since(start))
	h.write(w, http.StatusOK, resolver.NewOwnersResponse(answers, time.Now()))
}

// authenticated compares hashes, so that timing does not reveal the secret, nor its
// length.
func (h *handler) authenticated(r *http.Request) bool {
	if h.certificate && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		return false
	}
	if h.tokens == nil {
		return true
	}
	given := r.Header.Values("Authorization")
	if len(given) != 1 {
		return false
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	hash, equal := sha256.Sum256([]byte(token)), 0
	for _, good := range h.tokens() {
		wanted := sha256.Sum256([]byte(good))
		equal |= subtle.ConstantTimeCompare(hash[:], wanted[:])
	}
	return strings.EqualFold(scheme, "Bearer") && equal == 1
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	status, body := http.StatusOK, struct {
		Ready   bool   `json:"ready"`
		Reason  string `json:"reason,omitempty"`
		Warning string `json:"warning,omitempty"`
	}{Ready: true}
	if err := h.directory.Ready(r.Context()); err != nil {
		status, body.Ready, body.Reason = http.StatusServiceUnavailable, false, err.Error()
	}
	if err := h.directory.OwnershipError(); err != nil {
		body.Warning = err.Error()
	}
	h.write(w, status, body)
}

// recovered turns a panic into a 500: the client then takes the owners for
// unavailable.
func (h *handler) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if cause := recover(); cause != nil {
				// Its type and place: the text might quote a secret.
				h.logger.Error("panic while answering a request", "type", fmt.Sprintf("%T", cause), "stack", string(debug.Stack()))
				h.refuse(w, http.StatusInternalServerError, "internal error: see the service's log")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

type wireError struct {
	Error string `json:"error"`
}

func (h *handler) refuse(w http.ResponseWriter, status int, reason string) {
	h.write(w, status, wireError{reason})
}

func (h *handler) write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		h.logger.Debug("answering", "error", err)
	}
}
