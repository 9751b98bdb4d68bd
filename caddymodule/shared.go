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
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/setup"
)

// pool holds what a reload must not lose where its settings stay the same: the
// keys, the tokens that were verified, and what is known of owners with its
// connections. Caddy provisions a new configuration before it cleans up the old
// one, so that what both use is never closed in between.
var pool = caddy.NewUsagePool()

// acquireShared returns what was made of the same settings before and is still in
// use, or else makes it. It is released with the handler.
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
			h.logger.Warn("closing what no configuration uses any more", zap.Error(err))
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

// sharedChain answers who owns what.
type sharedChain struct {
	*resolver.Chain
	closeSource func()
}

// Destruct implements caddy.Destructor.
func (c *sharedChain) Destruct() error {
	chains.remove(c)
	defer c.closeSource()
	return c.Close()
}

// forget makes every chain of this process forget a key: another site may have
// other settings, and during a reload the old ones still answer. The fences of
// other processes that were not told ask again within the time to live.
func forget(ctx context.Context, key resolver.Key) {
	for _, chain := range chains.list() {
		_ = chain.Invalidate(ctx, key)
	}
}

// ownerSettings are those that what is known of owners depends on. Those that
// are left out only say what is made of it; any other is taken to matter, so
// that one that is new to Config does.
type ownerSettings struct {
	config.Config
	Seal []byte
	// Templates stand for the options whose placeholders are followed, instead of
	// what they stand for at the time.
	Templates []string
}

func ownerSettingsOf(c config.Config) (ownerSettings, error) {
	seal, err := setup.SealSecret(c)
	if err != nil {
		return ownerSettings{}, err
	}
	settings := ownerSettings{Config: c, Seal: seal}
	settings.Mode, settings.BasePath, settings.OnUnavailable = "", "", ""
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

// openChain starts answering who owns what.
func openChain(settings config.Config, seal []byte) (*sharedChain, error) {
	logger := slog.New(zapslog.NewHandler(latestLog{}, zapslog.WithName(moduleID), zapslog.AddStacktraceAt(noStacktrace)))
	source, name, closeSource, err := setup.OpenSource(settings, logger)
	if err != nil {
		return nil, err
	}
	chain, err := resolver.New(resolver.Options{
		Source: resolver.Observe(source, name, latestMetrics{}),
		Redis:  settings.Redis, RefreshRedis: settings.Follow("redis"), Secret: seal, Deployment: settings.Cache.Deployment,
		Timeout: time.Duration(settings.Lookup.Timeout),
		Size:    settings.Cache.Size, TTL: time.Duration(settings.Cache.TTL), TaskTTL: time.Duration(settings.Cache.TaskTTL),
		Observer: latestMetrics{}, Logger: logger,
	})
	if err != nil {
		closeSource()
		return nil, err
	}
	opened := &sharedChain{chain, closeSource}
	chains.add(opened)
	return opened, nil
}
