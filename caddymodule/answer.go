package caddymodule

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// retryAfter is in seconds. The Task SDK itself retries a 5xx after one second.
const retryAfter = "1"

// answer answers a request that is not forwarded, in the form of Airflow's own
// errors. The content type has no charset: only with exactly this one does the
// Task SDK take a 403 for a denial (airflow/sdk/api/client.py); otherwise it falls
// through to its next secrets backend.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, j *result) error {
	refused := j.response()
	header := w.Header()
	switch refused.status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer") // RFC 9110, section 11.6.1
	case http.StatusMethodNotAllowed:
		header.Set("Allow", refused.allow)
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", retryAfter)
	}
	if id := r.Header.Get("Correlation-Id"); id != "" {
		header.Set("Correlation-Id", id) // as upstream does
	}
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		// To keep the connection, net/http would read the body before it sends
		// the first byte of this, and wait for one that may never come.
		header.Set("Connection", "close")
	}
	content, err := json.Marshal(body{detail{refused.code, refused.message}})
	if err != nil {
		return err
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(content)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(refused.status)
	_, _ = w.Write(content) // the client may have gone
	return nil
}

// body is the body of an answer.
type body struct {
	Detail detail `json:"detail"`
}

type detail struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}
