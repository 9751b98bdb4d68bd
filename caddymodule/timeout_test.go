package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/resolver"
)

// slowLookup is a lookup service that answers after a while that each question is
// about something of one team's.
type slowLookup struct {
	team  atomic.Value
	takes atomic.Int64
}

func (s *slowLookup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked resolver.OwnersRequest
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	select {
	case <-time.After(time.Duration(s.takes.Load())):
	case <-r.Context().Done():
		return
	}
	var answers []resolver.Answer
	for _, q := range asked.Questions {
		a := resolver.Answer{Outcome: resolver.Found, Team: s.team.Load().(string), AsOf: time.Now()}
		if q.Kind == "task_instance" || q.Kind == "task" {
			a.Team, a.Task = "team_b", resolver.Task{DagID: "dag_b", RunID: "r", TaskID: "t", MapIndex: -1}
		}
		if q.Kind == "dag" {
			a.Team = "team_b"
		}
		answers = append(answers, a)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(resolver.NewOwnersResponse(answers, time.Now()))
}

// A lookup timeout counts for all that one decision asks for, above the default
// of 2 s too.
func TestLookupTimeout_BoundsADecision(t *testing.T) {
	const slow = 2500 * time.Millisecond
	for name, c := range map[string]struct {
		timeout, takes time.Duration
		team           string // of what is asked for
		before         string // whose it was 1.1 s before; asked for then, fast
		status         int
		least, most    time.Duration
	}{
		"slow, allowed":                  {timeout: 4 * time.Second, takes: slow, team: "team_b", status: 200, least: slow, most: 3500 * time.Millisecond},
		"slow, denied":                   {timeout: 4 * time.Second, takes: slow, team: "team_a", status: 403, least: slow, most: 3500 * time.Millisecond},
		"slow, allowed on a second look": {timeout: 4 * time.Second, takes: slow, team: "team_b", before: "team_a", status: 200, least: slow, most: 3500 * time.Millisecond},
		"too slow":                       {timeout: 3 * time.Second, takes: time.Minute, team: "team_b", status: 503, least: 2900 * time.Millisecond, most: 3900 * time.Millisecond},
		"too slow for less":              {timeout: 500 * time.Millisecond, takes: slow, team: "team_b", status: 503, least: 400 * time.Millisecond, most: 1500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lookup := new(slowLookup)
			service := httptest.NewServer(lookup)
			defer service.Close()
			secret := "the secret of a slow lookup, " + name
			handler, _, err := provisionIn(t, config.Config{
				Token: config.Token{Secret: secret}, Lookup: config.Lookup{URL: service.URL, Timeout: caddy.Duration(c.timeout)},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer handler.Cleanup()
			if c.before != "" {
				lookup.team.Store(c.before)
				if status := answerOf(t, handler, secret, "GET /execution/variables/v", nil); status != http.StatusForbidden {
					t.Fatalf("at first: %d", status)
				}
				time.Sleep(resolver.RecentAge + 100*time.Millisecond)
			}
			lookup.team.Store(c.team)
			lookup.takes.Store(int64(c.takes))
			started := time.Now()
			status := answerOf(t, handler, secret, "GET /execution/variables/v", nil)
			if took := time.Since(started); status != c.status || took < c.least || took > c.most {
				t.Errorf("%d after %v, want %d from %v to %v", status, took, c.status, c.least, c.most)
			}
		})
	}
}
