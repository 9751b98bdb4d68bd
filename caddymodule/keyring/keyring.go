// Package keyring loads the keys that tokens are verified with, from where the
// operator says, and keeps them current.
package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/dagfence/dagfence/caddymodule/identity"
)

const (
	// jwksInterval and jwksRetry are Airflow's own (JWKS.refresh_interval_secs
	// and refresh_retry_interval_secs in api_fastapi/auth/tokens.py).
	jwksInterval = time.Hour
	jwksRetry    = 10 * time.Second
	jwksTimeout  = 5 * time.Second
	// fileInterval is how often a key file is read again. Reading it whole
	// notices what mtime and size miss, and needs no thought for the symbolic
	// links that Kubernetes swaps. A token that may be under a newer key waits
	// for a read that begins after it came, fileRetry apart at least.
	fileInterval = 5 * time.Second
	fileRetry    = 100 * time.Millisecond
	// maxKeyBytes is the largest key file or JWKS that is read.
	maxKeyBytes = 1 << 20
)

// Options say where keys come from: JWKS wins, then PublicKey, then the secret, as
// in Airflow.
type Options struct {
	Secret     string
	SecretFile string
	PublicKey  string // a PEM file
	JWKS       string // an http or https URL, or a file
}

// Keyring holds the current keys. What was loaded last stays in place while a
// newer one can't be read or parsed. Make one with [Open]; safe for concurrent use.
type Keyring struct {
	option string // as it is called in the configuration
	hint   string // what to do where it can't be used
	read   func(context.Context) ([]byte, error)
	parse  func([]byte) (*identity.Keys, error)
	// interval is the time between two reads; retry after one that failed.
	interval, retry time.Duration
	remote, fixed   bool
	logger          *zap.Logger

	state   atomic.Pointer[keyState]
	asks    chan chan struct{} // a refresh wanted; closed when it is over
	cancel  context.CancelFunc
	stopped chan struct{}
}

// keyState is what the last reads came to.
type keyState struct {
	keys *identity.Keys // nil until loaded
	body []byte         // what they were made of
	err  error          // of the last read
}

// Open loads the keys and keeps them current until Close. A file that can't be
// used is an error; a JWKS URL that can't be reached is not: it is tried again, and
// until then Err returns why nothing can be verified.
func Open(opts Options, logger *zap.Logger) (*Keyring, error) {
	// Each fetch has its own connection: an hour is too long to keep one.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	return open(opts, transport, logger)
}

func open(opts Options, transport http.RoundTripper, logger *zap.Logger) (*Keyring, error) {
	k := &Keyring{
		interval: fileInterval, retry: fileInterval, logger: logger,
		asks: make(chan chan struct{}), stopped: make(chan struct{}),
	}
	if err := k.choose(opts, transport); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	k.refresh(ctx)
	if err := k.state.Load().err; err != nil && !k.remote {
		cancel()
		return nil, fmt.Errorf("%w: %s", err, k.hint)
	}
	go k.keepCurrent(ctx)
	return k, nil
}

// choose sets what is read, and how, by the option that wins.
func (k *Keyring) choose(opts Options, transport http.RoundTripper) error {
	switch {
	case isURL(opts.JWKS):
		location, err := parseJWKSURL(opts.JWKS)
		if err != nil {
			return err
		}
		k.option, k.remote = "token jwks", true
		k.logger = k.logger.With(zap.String("jwks", location.Scheme+"://"+location.Host+location.Path))
		k.read, k.parse = fetcher(location, transport), k.parseJWKS
		k.interval, k.retry = jwksInterval, jwksRetry
	case opts.JWKS != "":
		k.option, k.read, k.parse = "token jwks", fileReader(opts.JWKS), k.parseJWKS
		k.hint = "set it to the file of a JWKS with public keys, or to its http(s) URL"
	case opts.PublicKey != "":
		k.option, k.read, k.parse = "token public_key", fileReader(opts.PublicKey), identity.ParsePEM
		k.hint = "set it to a PEM file with the public half of Airflow's [api_auth] jwt_private_key_path"
	case opts.Secret != "":
		k.option, k.parse, k.fixed = "token secret", identity.NewSecret, true
		k.read = func(context.Context) ([]byte, error) { return []byte(opts.Secret), nil }
		k.hint = "set it to the value of Airflow's [api_auth] jwt_secret"
	case opts.SecretFile != "":
		k.option, k.read, k.parse = "token secret_file", fileReader(opts.SecretFile), k.parseSecretFile
		k.hint = "set it to a file that contains the value of Airflow's [api_auth] jwt_secret"
	default:
		return errors.New("no token key configured: set token jwks, public_key, secret or secret_file")
	}
	return nil
}

// Current returns the keys to verify with now; nil until some are loaded. Cheap.
func (k *Keyring) Current() *identity.Keys { return k.state.Load().keys }

// Err returns why there are no keys yet; nil once there are.
func (k *Keyring) Err() error {
	if state := k.state.Load(); state.keys == nil {
		return state.err
	}
	return nil
}

// Renew reads the keys anew where err, of a token that was refused, may mean
// that they were rotated, and reports whether the token is worth one more try. A
// JWKS URL is fetched at most once in 10 s, however many ask. It returns when the read is over, takes too long, or ctx ends.
func (k *Keyring) Renew(ctx context.Context, err error) bool {
	rotated := errors.Is(err, identity.ErrUnknownKey) || !k.remote && errors.Is(err, identity.ErrSignature)
	if !rotated || k.fixed {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout+time.Second) // a file may hang
	defer cancel()
	done := make(chan struct{})
	select {
	case k.asks <- done:
	case <-ctx.Done():
		return false
	case <-k.stopped:
		return false
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	return true
}

// Close stops all reading. Current stays as it is.
func (k *Keyring) Close() {
	k.cancel()
	<-k.stopped
}

// keepCurrent is the only goroutine that reads after the start, so that two
// reads never overlap.
func (k *Keyring) keepCurrent(ctx context.Context) {
	defer close(k.stopped)
	for {
		asked := k.awaitReason(ctx)
		if ctx.Err() == nil {
			k.refresh(ctx)
		}
		for _, done := range asked {
			close(done)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// awaitReason returns when it is time to read again, with those who wait for
// it. An ask brings the read forward. Who asks for a URL too soon after the last
// read does not wait for it.
func (k *Keyring) awaitReason(ctx context.Context) []chan struct{} {
	last, timer := time.Now(), time.NewTimer(k.wait())
	defer timer.Stop()
	var asked []chan struct{}
	for {
		select {
		case <-ctx.Done():
			return asked
		case <-timer.C:
			return asked
		case done := <-k.asks:
			if k.remote && time.Since(last) < jwksRetry {
				close(done)
				timer.Reset(jwksRetry - time.Since(last))
				continue
			}
			if asked = append(asked, done); k.remote {
				return asked
			}
			timer.Reset(fileRetry - time.Since(last))
		}
	}
}

// wait is the time to the next read. The hour varies by a tenth, so that many
// sidecars that started together do not ask together.
func (k *Keyring) wait() time.Duration {
	switch {
	case k.state.Load().err != nil:
		return k.retry
	case k.remote:
		return k.interval - rand.N(k.interval/10) //nolint:gosec // jitter is no secret
	default:
		return k.interval
	}
}

// refresh reads once. The keys are replaced only where what was read differs,
// because new keys mean that every token is verified anew.
func (k *Keyring) refresh(ctx context.Context) {
	old := k.state.Load()
	if old == nil {
		old = &keyState{}
	}
	body, err := k.read(ctx)
	if err == nil && old.keys != nil && bytes.Equal(body, old.body) {
		k.state.Store(&keyState{keys: old.keys, body: old.body})
		return
	}
	var keys *identity.Keys
	if err == nil {
		keys, err = k.parse(body)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", k.option, err)
		k.state.Store(&keyState{keys: old.keys, body: old.body, err: err})
		k.report(ctx, old, err)
		return
	}
	k.state.Store(&keyState{keys: keys, body: body})
	if old.keys != nil {
		k.logger.Info("token keys replaced", zap.String("option", k.option))
	}
}

// report logs a failure when it is news, not every few seconds.
func (k *Keyring) report(ctx context.Context, old *keyState, err error) {
	if ctx.Err() != nil || (old.err != nil && old.err.Error() == err.Error()) {
		return
	}
	if old.keys == nil {
		if !k.remote { // the caller gets it as an error
			return
		}
		k.logger.Error("loading token keys failed; no token can be verified", zap.Error(err))
		return
	}
	k.logger.Warn("reading token keys again failed; the last good ones stay in use", zap.Error(err))
}

// Destruct implements caddy.Destructor, for a keyring that configurations share.
func (k *Keyring) Destruct() error {
	k.Close()
	return nil
}

// parseSecretFile takes the file byte by byte, because Airflow takes the secret
// so: from a variable, and from the output of a command such as cat.
func (k *Keyring) parseSecretFile(content []byte) (*identity.Keys, error) {
	if bytes.HasSuffix(content, []byte("\n")) {
		k.logger.Warn("token secret_file ends in a line break, which is a part of the secret: remove it unless Airflow's secret ends in one too")
	}
	return identity.NewSecret(content)
}

func (k *Keyring) parseJWKS(document []byte) (*identity.Keys, error) {
	keys, skipped, err := identity.ParseJWKS(document)
	if err == nil && len(skipped) > 0 {
		k.logger.Warn("unusable keys in the JWKS are ignored", zap.Errors("keys", skipped))
	}
	return keys, err
}
