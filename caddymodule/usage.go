package caddymodule

import (
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// afterlife is how long a handler that was replaced may still get requests.
// Caddy cleans it up as the shutdown of its server begins, which lets a
// connection that is new send a first request for 5 s (net/http's
// Server.Shutdown), or up to 6.5 s, as it counts and looks.
const afterlife = 7 * time.Second

// usage knows whether a handler may still have requests to judge.
type usage struct {
	inside atomic.Int64
	served atomic.Bool
}

func (u *usage) begin() {
	u.inside.Add(1)
	if !u.served.Load() {
		u.served.Store(true)
	}
}

func (u *usage) done() { u.inside.Add(-1) }

// end calls release once no request can need what it releases: at once where
// none ever came, as in a configuration that failed to load, or where Caddy has
// waited for them, as it does when it exits. (The first request ever that comes
// just then gets a 503.)
func (u *usage) end(release func()) {
	if !u.served.Load() || caddy.Exiting() {
		release()
		return
	}
	var look func()
	look = func() {
		if u.inside.Load() == 0 || caddy.Exiting() {
			release()
			return
		}
		time.AfterFunc(time.Second, look)
	}
	time.AfterFunc(afterlife, look)
}
