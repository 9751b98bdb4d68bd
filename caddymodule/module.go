// Package caddymodule is what happens to a request: the Caddy HTTP handler
// dagfence, which answers at the edge what a task of Airflow may not do, and
// hands everything else on as it came.
package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/resolver"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// tokenCacheSize is how many verified tokens are remembered. Each running task
// has one; an entry takes about 400 bytes.
const tokenCacheSize = 100_000

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

	mount         route.Mount
	policy        decide.Policy
	passUnlisted  bool
	denyUnbeknown bool

	keys     *keySource
	verifier *identity.Verifier
	chain    *resolver.Chain
	metrics  *metrics
	logger   *zap.Logger
	cleanups []func()
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.dagfence",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision completes the configuration from Airflow's environment and the
// defaults, checks it, and opens what the decisions need. Settings from
// placeholders and the environment stay out of h.Config.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	settings, err := complete(h.Config, os.LookupEnv)
	if err != nil {
		return err
	}
	h.mount, h.policy = route.Mount(settings.BasePath), policyOf(settings)
	h.passUnlisted = settings.Rules.UnknownRoutes == config.UnsafeAllow
	h.denyUnbeknown = settings.OnUnavailable == config.Deny
	h.warn(settings)
	if h.metrics, err = newMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	return errors.Join(h.openKeys(settings), h.openChain(settings, ctx.Slogger()))
}

// openKeys starts verifying tokens.
func (h *Handler) openKeys(settings config.Config) error {
	keys, err := newKeySource(keyOptions{
		Secret: settings.Token.Secret, SecretFile: settings.Token.SecretFile,
		PublicKey: settings.Token.PublicKey, JWKS: settings.Token.JWKS,
	}, h.logger)
	if err != nil {
		return err
	}
	h.keys = keys
	h.cleanups = append(h.cleanups, keys.Close)
	h.verifier = identity.New(identity.Config{
		Algorithms: settings.Token.Algorithms, Audience: settings.Token.Audience,
		Issuer: settings.Token.Issuer, Leeway: time.Duration(*settings.Token.Leeway),
	}, keys.Current, time.Now, tokenCacheSize)
	return nil
}

// openChain starts answering who owns what.
func (h *Handler) openChain(settings config.Config, logger *slog.Logger) error {
	source, name, closeSource, err := openSource(settings, logger)
	if err != nil {
		return err
	}
	h.cleanups = append(h.cleanups, closeSource)
	secret, err := sealSecret(settings)
	if err != nil {
		return err
	}
	h.chain, err = resolver.New(resolver.Options{
		Source: resolver.Observe(source, name, h.metrics),
		Redis:  settings.Redis, Secret: secret,
		Size: settings.Cache.Size, TTL: time.Duration(settings.Cache.TTL), TaskTTL: time.Duration(settings.Cache.TaskTTL),
		Observer: h.metrics, Logger: logger,
	})
	if err != nil {
		return err
	}
	// Before its source, in the order of the cleanups.
	h.cleanups = append(h.cleanups, func() { _ = h.chain.Close() })
	fences.add(h)
	h.cleanups = append(h.cleanups, func() { fences.remove(h) })
	return nil
}

// warn names the settings that weaken the fence, once.
func (h *Handler) warn(settings config.Config) {
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
	if h.verifier == nil || h.chain == nil || h.mount == "" {
		return errors.New("dagfence: not provisioned")
	}
	return nil
}

// Ready gives nil when requests can be judged, and else says why not.
func (h *Handler) Ready(ctx context.Context) error {
	if err := h.keys.Err(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if err := h.chain.Ready(ctx); err != nil {
		return fmt.Errorf("owners: %w", err)
	}
	return nil
}

// Cleanup closes what Provision opened, last first.
func (h *Handler) Cleanup() error {
	for _, cleanup := range slices.Backward(h.cleanups) {
		cleanup()
	}
	return nil
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
