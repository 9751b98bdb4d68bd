package resolvertest

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/dagfence/dagfence/resolver"
)

// Service is a lookup service over a resolver, without any of the real one's
// care: for tests of its clients.
func Service(source resolver.Resolver) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request resolver.OwnersRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		questions, err := request.Parse()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answers := source.Resolve(r.Context(), questions)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(resolver.NewOwnersResponse(answers, time.Now())) // the client may have gone
	})
}
