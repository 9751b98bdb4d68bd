package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dagfence/dagfence/caddymodule/startup"
	"github.com/dagfence/dagfence/lookup"
)

func init() {
	caddy.RegisterModule(Status{})
	httpcaddyfile.RegisterHandlerDirective("dagfence_status", parseStatus)
	httpcaddyfile.RegisterDirectiveOrder("dagfence_status", httpcaddyfile.Before, "respond")
}

// fencesOf returns the fences of a configuration.
func fencesOf(configuration *prometheus.Registry) []*Handler {
	return slices.DeleteFunc(fences.list(), func(h *Handler) bool { return h.configuration != configuration })
}

// ownershipError returns why an ownership file of the configuration is not in force.
func ownershipError(configuration *prometheus.Registry) error {
	var errs []error
	for _, h := range fencesOf(configuration) {
		errs = append(errs, h.chain.ownershipError())
	}
	return errors.Join(errs...)
}

// ready returns nil if the configuration has a fence, all its fences are ready, and
// the process is not shutting down. During a reload there are fences of another
// configuration too, which may yet fail to load.
func ready(ctx context.Context, configuration *prometheus.Registry) error {
	if caddy.Exiting() {
		return errors.New("shutting down")
	}
	handlers := fencesOf(configuration)
	if len(handlers) == 0 {
		return errors.New("no fence is configured")
	}
	var errs []error
	for _, h := range handlers {
		errs = append(errs, h.Ready(ctx))
	}
	return errors.Join(errs...)
}

// Status serves GET /live, /ready and /metrics of every dagfence handler in the
// process, and nothing else: /live while the process serves, /ready while requests
// can be judged and the process is not shutting down (else 503 and why), /metrics in
// Prometheus' format. It has no settings, and belongs in a site of its own, which
// tasks do not reach.
type Status struct {
	configuration *prometheus.Registry
	metrics       http.Handler
	startup       *startup.App
}

// CaddyModule returns the Caddy module information.
func (Status) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.dagfence_status",
		New: func() caddy.Module { return new(Status) },
	}
}

// Provision finds the metrics of the configuration.
func (s *Status) Provision(ctx caddy.Context) (err error) {
	s.configuration = ctx.GetMetricsRegistry()
	_, err = registered(s.configuration, lookup.ReadyGauge(func(ctx context.Context) error { return ready(ctx, s.configuration) }))
	if err != nil {
		return err
	}
	s.metrics = promhttp.HandlerFor(s.configuration, promhttp.HandlerOpts{})
	s.startup, err = startup.Join(ctx)
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (s *Status) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	s.startup.Admit(r)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return writeStatus(w, http.StatusMethodNotAllowed, "method not allowed")
	}
	switch r.URL.Path {
	case "/live":
		return writeStatus(w, http.StatusOK, "live")
	case "/ready":
		if err := ready(r.Context(), s.configuration); err != nil {
			return writeStatus(w, http.StatusServiceUnavailable, err.Error())
		}
		return writeStatus(w, http.StatusOK, "ready")
	case "/metrics":
		s.metrics.ServeHTTP(w, r)
		return nil
	}
	return writeStatus(w, http.StatusNotFound, "not found: must be /live, /ready or /metrics")
}

func writeStatus(w http.ResponseWriter, status int, text string) error {
	body, err := json.Marshal(map[string]string{"status": text})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
	return nil
}

// parseStatus parses the directive dagfence_status.
func parseStatus(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	s := new(Status)
	return s, s.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	dagfence_status
func (*Status) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() || d.NextBlock(d.Nesting()) {
		return d.Err("dagfence_status takes no arguments and no block")
	}
	return nil
}

var (
	_ caddy.Provisioner           = (*Status)(nil)
	_ caddyhttp.MiddlewareHandler = (*Status)(nil)
	_ caddyfile.Unmarshaler       = (*Status)(nil)
)
