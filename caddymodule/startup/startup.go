// Package startup makes the fences of one configuration start together, and no two
// processes answer on one address.
package startup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(App{})
}

const (
	appID = "dagfence_startup"
	// startTime is how long another process that is starting on the same port is
	// waited for, until it listens there or has failed.
	startTime = 5 * time.Second
)

// App is the Caddy app through which the handlers of one configuration start
// together. They load it themselves, and it has no settings. It ensures that
//
//   - no other process listens on their addresses. Caddy listens with
//     SO_REUSEPORT, so each of two processes would get some of the requests.
//   - no request is served before the whole configuration has started, because
//     what comes behind the first listener may still fail.
//   - a process that fails to start does not wait for shutdown_delay.
type App struct {
	logger *zap.Logger
	http   *caddyhttp.App
	delay  caddy.Duration // the http app's, once it has started
	ports  []io.Closer
	looked map[*caddyhttp.Server]bool

	started chan struct{}
	ended   <-chan struct{}
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  appID,
		New: func() caddy.Module { return new(App) },
	}
}

// begun is set once a fence begins to start, and running once a configuration with
// one runs.
var begun, running atomic.Bool

// Begin notes that this process begins to start a fence.
func Begin() { begun.Store(true) }

// Starting reports whether this process has begun to start a fence, and has served
// by none yet: nothing is lost where it ends.
func Starting() bool { return begun.Load() && !running.Load() }

// Join returns the app of the configuration that a handler belongs to,
// or an error where another process has an address of the handler's server. Nil
// for a handler that is in no server.
func Join(ctx caddy.Context) (*App, error) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil, nil //nolint:nilnil // Admit takes it
	}
	module, err := ctx.App(appID)
	if err != nil {
		return nil, err
	}
	s, ok := module.(*App)
	if !ok {
		return nil, fmt.Errorf("app %s is a %T", appID, module)
	}
	for _, ancestor := range ctx.Modules() {
		if app, ok := ancestor.(*caddyhttp.App); ok && s.http == nil {
			s.prepare(ctx, app)
		}
	}
	return s, s.look(ctx, server)
}

// Provision subscribes to the end of the start.
func (s *App) Provision(ctx caddy.Context) error {
	s.logger, s.started, s.ended = ctx.Logger(), make(chan struct{}), ctx.Done()
	s.looked = make(map[*caddyhttp.Server]bool)
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	events, ok := app.(*caddyevents.App)
	if !ok {
		return fmt.Errorf("app events is a %T", app)
	}
	return events.On("started", s)
}

// prepare is called once, before any server of the app listens.
func (s *App) prepare(ctx context.Context, app *caddyhttp.App) {
	s.http, s.delay = app, app.ShutdownDelay
	app.ShutdownDelay = 0
	if onlyValidates() {
		return
	}
	deadline := time.Now().Add(startTime)
	for _, port := range portsOf(app) { // in order, so that no two processes wait for each other
		lock, err := lockPort(ctx, port, deadline)
		if err != nil { // any process can hold the lock, also one that means to keep us from starting
			s.logger.Warn("failed to lock the port; another process that starts on it at the same time is not detected", zap.String("port", port), zap.Error(err))
			continue
		}
		s.ports = append(s.ports, lock)
	}
}

// look makes sure that no other process listens where the server is going to.
func (s *App) look(ctx context.Context, server *caddyhttp.Server) error {
	if s.looked[server] || onlyValidates() {
		return nil
	}
	s.looked[server] = true
	for _, socket := range socketsOf(s.http, server) {
		if err := socket.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// onlyValidates reports whether this process starts nothing, and may look at the
// configuration of one that runs. Caddy provisions in the same way for both.
func onlyValidates() bool {
	return len(os.Args) > 1 && slices.Contains([]string{"validate", "adapt"}, os.Args[1])
}

// Admit holds a request back until the configuration has started, and drops it
// where that fails. A nil App admits at once.
func (s *App) Admit(r *http.Request) {
	if s == nil {
		return
	}
	select {
	case <-s.started:
		return
	default:
	}
	select {
	case <-s.started:
	case <-s.ended:
		panic(http.ErrAbortHandler)
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// Handle implements caddyevents.Handler: Caddy itself says that every app has
// started.
func (s *App) Handle(_ context.Context, event caddy.Event) error {
	if event.Origin() != nil {
		return nil
	}
	if s.http != nil {
		s.http.ShutdownDelay = s.delay
	}
	running.Store(true)
	close(s.started)
	return s.Cleanup()
}

// Start implements caddy.App.
func (*App) Start() error { return nil }

// Stop implements caddy.App.
func (*App) Stop() error { return nil }

// Cleanup lets other processes start.
func (s *App) Cleanup() error {
	var errs []error
	for _, port := range s.ports {
		errs = append(errs, port.Close())
	}
	s.ports = nil
	return errors.Join(errs...)
}

// lockPort waits until no other process is between looking whether a port is
// free and listening on it. The lock is the name of an abstract unix socket: it
// belongs to the same network namespace as the port, and goes with the process.
// Only Linux has those; elsewhere nothing is locked.
func lockPort(ctx context.Context, port string, deadline time.Time) (io.Closer, error) {
	if runtime.GOOS != "linux" {
		return io.NopCloser(nil), nil
	}
	name := fmt.Sprintf("@dagfence-start-%x", sha256.Sum256([]byte(port)))
	for {
		lock, err := new(net.ListenConfig).Listen(ctx, "unix", name)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return lock, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

var (
	_ caddy.App           = (*App)(nil)
	_ caddy.Provisioner   = (*App)(nil)
	_ caddy.CleanerUpper  = (*App)(nil)
	_ caddyevents.Handler = (*App)(nil)
)
