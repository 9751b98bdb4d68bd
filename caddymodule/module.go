// Package caddymodule is the Caddy HTTP handler dagfence, which refuses requests
// that a task of Airflow may not make, and passes all others on unchanged.
package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/keyring"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/caddymodule/startup"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/setup"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler is an authorizing handler in front of Airflow's Execution API. It reads
// each request as Airflow would, verifies the task's token, resolves who owns what
// the request touches, and answers 403 when that belongs to another team, or is an
// XCom of another task. Allowed requests, and requests outside base_path, are passed
// to the next handler unchanged.
//
// Without any setting, it has those of Airflow's own environment or airflow.cfg: keys,
// metadata database, path and whether there are teams.
//
// It takes no matcher, and no handler behind it may rewrite the request: the request
// that is forwarded is the one that was judged.
type Handler struct {
	config.Config

	mount             route.Mount
	policy            decide.Policy
	timeout           time.Duration // of all lookups of one decision together
	passUnlisted      bool
	denyOnUnavailable bool

	keys     *keyring.Keyring
	verifier sharedVerifier
	chain    *sharedChain
	metrics  *metrics
	logger   *zap.Logger
	// decisions is the logger of decisions, and logAllowed which share of those that
	// allow is logged at level info.
	decisions  *zap.Logger
	logAllowed float64
	// configuration identifies the loaded configuration: all its modules share it.
	configuration *prometheus.Registry

	startup  *startup.App
	drain    *drain
	cleanups []func()
}

const moduleID = "http.handlers.dagfence"

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  moduleID,
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision completes the configuration from Airflow's environment and the
// defaults, checks it, and opens keys and owners. Values of placeholders and the
// environment are not stored in h.Config.
func (h *Handler) Provision(ctx caddy.Context) error {
	startup.Begin()
	h.logger, h.drain = ctx.Logger(), new(drain)
	h.decisions = h.logger.Named(decisionLogger)
	settings, origins, err := setup.Complete(h.Config, os.LookupEnv)
	if err != nil {
		return err
	}
	h.apply(settings)
	h.logger.Info("effective settings", zap.Any("settings", settings.Effective(h.Config, origins)))
	h.warn(settings, origins)
	h.warnOfForwardProxy(ctx)
	if h.metrics, err = newMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	own := &sink{h.logger, h.metrics}
	sinks.add(own)
	h.cleanups = append(h.cleanups, func() { sinks.remove(own) })
	if err := h.open(settings); err != nil {
		return err
	}
	if h.startup, err = startup.Join(ctx); err != nil {
		return err
	}
	// A reload may follow a rotation of keys.
	go h.keys.Renew(context.WithoutCancel(ctx), identity.ErrUnknownKey)
	h.configuration = ctx.GetMetricsRegistry()
	fences.add(h)
	return nil
}

// apply takes what needs nothing opened from complete settings.
func (h *Handler) apply(settings config.Config) {
	h.mount, h.policy = route.Mount(settings.BasePath), setup.Policy(settings)
	h.timeout = time.Duration(settings.Lookup.Timeout)
	h.logAllowed = settings.LogAllowed
	h.passUnlisted = settings.Rules.UnknownRoutes == config.UnsafeAllow
	h.denyOnUnavailable = settings.OnUnavailable == config.Deny
}

// open opens keys and owners.
func (h *Handler) open(settings config.Config) error {
	return errors.Join(h.openKeys(settings), h.openChain(settings))
}

// openKeys opens the keys, shared while their source stays the same, and the
// verifier with its cache, shared while all token settings do.
func (h *Handler) openKeys(settings config.Config) error {
	options := setup.KeyOptions(settings.Token)
	keys, err := acquireShared(h, options, func() (*keyring.Keyring, error) {
		return keyring.Open(options, zap.New(latestLog{}).Named(moduleID))
	})
	if err != nil {
		return err
	}
	h.keys = keys
	h.verifier, err = acquireShared(h, settings.Token, func() (sharedVerifier, error) {
		return sharedVerifier{setup.Verifier(settings.Token, keys.Current, time.Now)}, nil
	})
	return err
}

// openChain opens the chain of resolvers.
func (h *Handler) openChain(settings config.Config) error {
	known, err := ownerSettingsOf(settings)
	if err != nil {
		return err
	}
	h.chain, err = acquireShared(h, known, func() (*sharedChain, error) { return newSharedChain(settings, known.Seal) })
	return err
}

// warn logs the settings that weaken the fence.
func (h *Handler) warn(settings config.Config, origins config.Origins) {
	// Airflow writes it into every airflow.cfg that it makes.
	if origin := origins["multi_team"]; origin != "" && settings.MultiTeam == config.Off {
		h.logger.Warn("multi_team is off in Airflow's configuration; team rules are skipped: set multi_team on to enforce them",
			zap.String("from", origin))
	}
	if setup.KnowsNoTasks(settings) {
		h.logger.Warn("ownership_file is the only source, and has no task instances, so only requests whose token carries a signed dag_id can be decided, " +
			"which Airflow's own do not: set database or lookup")
	}
	if settings.Mode == config.Audit {
		h.logger.Warn("mode is audit: denials are recorded, and not enforced")
	}
	if h.passUnlisted {
		h.logger.Warn("unknown endpoints are forwarded without a check (rules unknown_routes is unsafe_allow)")
	}
	for _, group := range settings.Rules.Groups() {
		if group.Mode != config.Enforce {
			h.logger.Warn("rule group not enforced", zap.String("rules", group.Name), zap.String("mode", group.Mode))
		}
	}
}

// Validate returns an error if the handler was not provisioned.
func (h *Handler) Validate() error {
	if h.verifier.Verifier == nil || h.chain == nil || h.mount == "" {
		return errors.New("dagfence: not provisioned")
	}
	return nil
}

// Ready returns nil if requests can be judged, and else why not.
func (h *Handler) Ready(ctx context.Context) error {
	if err := h.keys.Err(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := h.chain.Ready(ctx); err != nil {
		return fmt.Errorf("owners: %w", err)
	}
	return nil
}

// Cleanup releases what Provision opened, in reverse order, once no request needs
// it any more.
func (h *Handler) Cleanup() error {
	fences.remove(h)
	h.drain.afterwards(func() {
		for _, cleanup := range slices.Backward(h.cleanups) {
			cleanup()
		}
	})
	return nil
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
