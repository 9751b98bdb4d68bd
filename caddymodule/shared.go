package caddymodule

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"

	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/setup"
)

// pool holds what a reload keeps while its settings stay the same: the keys, the
// verified tokens, and the caches and connections of owners. Caddy provisions a new
// configuration before it cleans up the old one, so that what both use is never
// closed in between.
var pool = caddy.NewUsagePool()

// acquireShared returns the value that another handler has opened with the same
// settings, or else opens it. It is released with the handler.
func acquireShared[T caddy.Destructor](h *Handler, settings any, open func() (T, error)) (T, error) {
	var none T
	key, err := fingerprint(none, settings)
	if err != nil {
		return none, err
	}
	value, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return open() })
	if err != nil {
		return none, err
	}
	h.cleanups = append(h.cleanups, func() {
		if _, err := pool.Delete(key); err != nil {
			h.logger.Warn("closing shared resources failed", zap.Error(err))
		}
	})
	shared, ok := value.(T)
	if !ok {
		return none, fmt.Errorf("sharing %T: the pool holds a %T under its key", none, value)
	}
	return shared, nil
}

// fingerprint returns the key of settings in the pool: a hash, since they hold
// secrets. Any two settings have different ones, as with JSON they would not: it has
// one letter for all bytes that are not UTF-8.
func fingerprint(kind, settings any) ([sha256.Size]byte, error) {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%T ", kind)
	if err := gob.NewEncoder(&text).Encode(settings); err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("comparing settings: %w", err)
	}
	return sha256.Sum256(text.Bytes()), nil
}

// sharedVerifier verifies tokens, and remembers those that it found good.
type sharedVerifier struct{ *identity.Verifier }

// Destruct implements caddy.Destructor.
func (sharedVerifier) Destruct() error { return nil }

// sharedChain is a chain of resolvers in the pool.
type sharedChain struct {
	*resolver.Chain
	source      resolver.Resolver
	closeSource func()
}

// ownershipError returns why the ownership file of an embedded directory is not in
// force.
func (c *sharedChain) ownershipError() error {
	if directory, embedded := c.source.(*lookup.Directory); embedded {
		return directory.OwnershipError()
	}
	return nil
}

// Destruct implements caddy.Destructor.
func (c *sharedChain) Destruct() error {
	chains.remove(c)
	defer c.closeSource()
	return c.Close()
}

// forget makes every chain of this process forget a key: another site may have other
// settings, and during a reload the old ones still answer. Fences of other processes
// that do not get the message ask again within the TTL.
func forget(ctx context.Context, key resolver.Key) {
	for _, chain := range chains.list() {
		_ = chain.Invalidate(ctx, key)
	}
}

// ownerSettings are the settings that cached owners depend on: all but those that
// are known not to matter, so that a new field of Config does.
type ownerSettings struct {
	config.Config
	Seal []byte
	// Templates has the options whose placeholders are followed, in place of their
	// current values.
	Templates []string
}

func ownerSettingsOf(c config.Config) (ownerSettings, error) {
	seal, err := setup.SealSecret(c)
	if err != nil {
		return ownerSettings{}, err
	}
	settings := ownerSettings{Config: c, Seal: seal}
	settings.Mode, settings.BasePath, settings.OnUnavailable, settings.MultiTeam = "", "", "", ""
	settings.MultiTeamAssumed, settings.LogAllowed = false, 0
	settings.Token, settings.Rules = config.Token{}, config.Rules{}
	for _, followed := range []struct {
		option string
		value  *string
	}{
		{"database", &settings.Database},
		{"lookup", &settings.Lookup.URL},
		{"lookup token", &settings.Lookup.Token},
		{"redis", &settings.Redis},
	} {
		text := c.Template(followed.option)
		if text != "" {
			*followed.value = ""
		}
		settings.Templates = append(settings.Templates, text)
	}
	return settings, nil
}

// newSharedChain opens the source of owners, and the chain in front of it.
func newSharedChain(settings config.Config, seal []byte) (*sharedChain, error) {
	logger := slog.New(zapslog.NewHandler(latestLog{}, zapslog.WithName(moduleID), zapslog.AddStacktraceAt(noStacktrace)))
	source, name, closeSource, err := setup.OpenSource(settings, logger)
	if err != nil {
		return nil, err
	}
	chain, err := resolver.New(resolver.Options{
		Source:    resolver.Observe(source, name, latestMetrics{}),
		Redis:     setup.Redis(settings, seal),
		Size:      settings.Cache.Size,
		Lifetimes: resolver.Lifetimes{Owner: time.Duration(settings.Cache.TTL), Task: time.Duration(settings.Cache.TaskTTL)},
		Timeout:   time.Duration(settings.Lookup.Timeout),
		Observer:  latestMetrics{}, Logger: logger,
	})
	if err != nil {
		closeSource()
		return nil, err
	}
	opened := &sharedChain{chain, source, closeSource}
	chains.add(opened)
	return opened, nil
}
