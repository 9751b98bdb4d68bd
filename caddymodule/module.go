// Package caddymodule is what happens to a request: the Caddy HTTP handler
// dagfence, which answers at the edge what a task of Airflow may not do, and
// hands everything else on as it came.
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

// Handler is an authorizing handler in front of Airflow's Execution API. It
// reads each request as Airflow would, verifies the task's token, learns who
// owns what the request touches, and answers 403 when a task reaches across its
// team, or writes an XCom that is not its own. What passes, and what is not
// below base_path, goes to the next handler untouched.
//
// It takes no matcher, and nothing behind it may rewrite the request: the
// request that is forwarded is the one that was judged.
type Handler struct {
	config.Config

	mount             route.Mount
	policy            decide.Policy
	timeout           time.Duration // of all that a decision asks for together
	passUnlisted      bool
	denyOnUnavailable bool

	keys     *keyring.Keyring
	verifier sharedVerifier
	chain    *sharedChain
	metrics  *metrics
	logger   *zap.Logger
	// configuration is what all modules of one loaded configuration have in common.
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
// defaults, checks it, and opens what the decisions need. Settings from
// placeholders and the environment stay out of h.Config.
func (h *Handler) Provision(ctx caddy.Context) error {
	startup.Begin()
	h.logger, h.drain = ctx.Logger(), new(drain)
	settings, origins, err := setup.Complete(h.Config, os.LookupEnv)
	if err != nil {
		return err
	}
	h.mount, h.policy = route.Mount(settings.BasePath), setup.Policy(settings)
	h.timeout = time.Duration(settings.Lookup.Timeout)
	h.passUnlisted = settings.Rules.UnknownRoutes == config.UnsafeAllow
	h.denyOnUnavailable = settings.OnUnavailable == config.Deny
	h.warn(settings, origins)
	h.warnOfForwardProxy(ctx)
	if h.metrics, err = newMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	own := &sink{h.logger, h.metrics}
	sinks.add(own)
	h.cleanups = append(h.cleanups, func() { sinks.remove(own) })
	if err := errors.Join(h.openKeys(settings), h.openChain(settings)); err != nil {
		return err
	}
	if h.startup, err = startup.Join(ctx); err != nil {
		return err
	}
	// Who loads a configuration again may have rotated keys, or taken one away.
	go h.keys.Renew(context.WithoutCancel(ctx), identity.ErrUnknownKey)
	h.configuration = ctx.GetMetricsRegistry()
	fences.add(h)
	return nil
}

// openKeys starts verifying tokens. What was verified is forgotten as soon as
// any setting of a token is another one; the keys, only where they come from
// elsewhere.
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

// openChain starts answering who owns what.
func (h *Handler) openChain(settings config.Config) error {
	known, err := ownerSettingsOf(settings)
	if err != nil {
		return err
	}
	h.chain, err = acquireShared(h, known, func() (*sharedChain, error) { return openChain(settings, known.Seal) })
	return err
}

// warn names the settings that weaken the fence, once.
func (h *Handler) warn(settings config.Config, origins config.Origins) {
	// Airflow writes it into every airflow.cfg that it makes.
	if origin := origins["multi_team"]; origin != "" && settings.MultiTeam == config.Off {
		h.logger.Warn("multi_team is off in Airflow's own configuration: rules about teams are skipped; set multi_team to have them all the same",
			zap.String("from", origin))
	}
	if setup.KnowsNoTasks(settings) {
		h.logger.Warn("ownership_file is the only source, and knows no task instances: requests are unavailable but for tokens that carry a signed dag_id, " +
			"which Airflow's own do not; set database or lookup")
	}
	if settings.Mode == config.Audit {
		h.logger.Warn("mode audit: nothing is denied, denials are only recorded")
	}
	if h.passUnlisted {
		h.logger.Warn("rules unknown_routes unsafe_allow: endpoints that are not known here are forwarded unjudged")
	}
	for group, mode := range map[string]string{
		"variables": settings.Rules.Variables, "connections": settings.Rules.Connections, "xcoms": settings.Rules.XComs,
		"dags": settings.Rules.Dags, "assets": settings.Rules.Assets,
	} {
		if mode != config.Enforce {
			h.logger.Warn("a group of rules is not enforced", zap.String("rules", group), zap.String("mode", mode))
		}
	}
}

// Validate makes sure that nothing is served that was not provisioned.
func (h *Handler) Validate() error {
	if h.verifier.Verifier == nil || h.chain == nil || h.mount == "" {
		return errors.New("dagfence: not provisioned")
	}
	return nil
}

// Ready returns nil when requests can be judged, and else why not.
func (h *Handler) Ready(ctx context.Context) error {
	if err := h.keys.Err(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := h.chain.Ready(ctx); err != nil {
		return fmt.Errorf("owners: %w", err)
	}
	return nil
}

// Cleanup releases what Provision opened, last first, once no request needs it any
// more.
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
