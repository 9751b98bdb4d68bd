package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
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

// keyOptions says where keys come from: JWKS wins, then PublicKey, then the
// secret, as in Airflow.
type keyOptions struct {
	Secret     string
	SecretFile string
	PublicKey  string // a PEM file
	JWKS       string // an http or https URL, or a file
}

// keySource holds the keys of the moment and keeps them current. What was
// loaded last stays in place while a newer one can't be had or makes no sense.
type keySource struct {
	option string // as it is called in the configuration
	mend   string
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

// newKeySource loads the keys and keeps them current until Close. A file that
// can't be used is an error; a JWKS URL that can't be reached is not, it is
// tried again and until then Err says why nothing can be verified.
func newKeySource(opts keyOptions, logger *zap.Logger) (*keySource, error) {
	// Each fetch has its own connection: an hour is too long to keep one.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	return openKeySource(opts, transport, logger)
}

func openKeySource(opts keyOptions, transport http.RoundTripper, logger *zap.Logger) (*keySource, error) {
	s := &keySource{
		interval: fileInterval, retry: fileInterval, logger: logger,
		asks: make(chan chan struct{}), stopped: make(chan struct{}),
	}
	if err := s.choose(opts, transport); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.refresh(ctx)
	if err := s.state.Load().err; err != nil && !s.remote {
		cancel()
		return nil, fmt.Errorf("%w; %s", err, s.mend)
	}
	go s.keepCurrent(ctx)
	return s, nil
}

// choose sets what is read, and how, by the option that wins.
func (s *keySource) choose(opts keyOptions, transport http.RoundTripper) error {
	switch {
	case isURL(opts.JWKS):
		location, err := url.Parse(opts.JWKS)
		if err != nil || location.Host == "" {
			// The parser's own words quote the URL, which may hold a password.
			return errors.New("token jwks: not a valid URL; give it as https://host/path, or the path of a file")
		}
		s.option, s.remote = "token jwks", true
		s.logger = s.logger.With(zap.String("jwks", location.Scheme+"://"+location.Host+location.Path))
		s.read, s.parse = fetcher(location, transport), s.parseJWKS
		s.interval, s.retry = jwksInterval, jwksRetry
	case opts.JWKS != "":
		s.option, s.read, s.parse = "token jwks", fileReader(opts.JWKS), s.parseJWKS
		s.mend = "give the file of a JWKS that holds public keys, or its http(s) URL"
	case opts.PublicKey != "":
		s.option, s.read, s.parse = "token public_key", fileReader(opts.PublicKey), identity.ParsePEM
		s.mend = "give a PEM file with the public half of Airflow's [api_auth] jwt_private_key_path"
	case opts.Secret != "" && opts.SecretFile != "":
		return errors.New("token: secret and secret_file are both set; keep one of them")
	case opts.Secret != "":
		s.option, s.parse, s.fixed = "token secret", identity.NewSecret, true
		s.read = func(context.Context) ([]byte, error) { return []byte(opts.Secret), nil }
		s.mend = "give the value of Airflow's [api_auth] jwt_secret"
	case opts.SecretFile != "":
		s.option, s.read, s.parse = "token secret_file", fileReader(opts.SecretFile), s.parseSecretFile
		s.mend = "give a file that holds the value of Airflow's [api_auth] jwt_secret"
	default:
		return errors.New("token: nothing to verify tokens with; set one of jwks, public_key, secret and secret_file to what Airflow's api-server has")
	}
	return nil
}

// Current gives the keys to verify with now; nil until some are loaded. Cheap.
func (s *keySource) Current() *identity.Keys { return s.state.Load().keys }

// Err says why there are no keys yet; nil once there are.
func (s *keySource) Err() error {
	if state := s.state.Load(); state.keys == nil {
		return state.err
	}
	return nil
}

// Renew reads the keys anew where err, of a token that was refused, may mean
// that they were rotated, and tells whether the token is worth one more try. A
// JWKS URL is not fetched again within 10 s of the last time, however many ask,
// but then. It returns when the read is over, takes too long, or ctx ends.
func (s *keySource) Renew(ctx context.Context, err error) bool {
	rotated := errors.Is(err, identity.ErrUnknownKey) || !s.remote && errors.Is(err, identity.ErrSignature)
	if !rotated || s.fixed {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout+time.Second) // a file may hang
	defer cancel()
	done := make(chan struct{})
	select {
	case s.asks <- done:
	case <-ctx.Done():
		return false
	case <-s.stopped:
		return false
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	return true
}

// Close stops all reading. Current stays as it is.
func (s *keySource) Close() {
	s.cancel()
	<-s.stopped
}

// keepCurrent is the only goroutine that reads after the start, so that two
// reads never overlap.
func (s *keySource) keepCurrent(ctx context.Context) {
	defer close(s.stopped)
	for {
		asked := s.awaitReason(ctx)
		if ctx.Err() == nil {
			s.refresh(ctx)
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
func (s *keySource) awaitReason(ctx context.Context) []chan struct{} {
	last, timer := time.Now(), time.NewTimer(s.wait())
	defer timer.Stop()
	var asked []chan struct{}
	for {
		select {
		case <-ctx.Done():
			return asked
		case <-timer.C:
			return asked
		case done := <-s.asks:
			if s.remote && time.Since(last) < jwksRetry {
				close(done)
				timer.Reset(jwksRetry - time.Since(last))
				continue
			}
			if asked = append(asked, done); s.remote {
				return asked
			}
			timer.Reset(fileRetry - time.Since(last))
		}
	}
}

// wait is the time to the next read. The hour varies by a tenth, lest many
// sidecars that started together ask together.
func (s *keySource) wait() time.Duration {
	switch {
	case s.state.Load().err != nil:
		return s.retry
	case s.remote:
		return s.interval - rand.N(s.interval/10) //nolint:gosec // jitter is no secret
	default:
		return s.interval
	}
}

// refresh reads once. The keys are replaced only where what was read differs,
// because new keys mean that every token is verified anew.
func (s *keySource) refresh(ctx context.Context) {
	old := s.state.Load()
	if old == nil {
		old = &keyState{}
	}
	body, err := s.read(ctx)
	if err == nil && old.keys != nil && bytes.Equal(body, old.body) {
		s.state.Store(&keyState{keys: old.keys, body: old.body})
		return
	}
	var keys *identity.Keys
	if err == nil {
		keys, err = s.parse(body)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", s.option, err)
		s.state.Store(&keyState{keys: old.keys, body: old.body, err: err})
		s.report(ctx, old, err)
		return
	}
	s.state.Store(&keyState{keys: keys, body: body})
	if old.keys != nil {
		s.logger.Info("token keys replaced", zap.String("option", s.option))
	}
}

// report logs a failure when it is news, not every few seconds.
func (s *keySource) report(ctx context.Context, old *keyState, err error) {
	if ctx.Err() != nil || (old.err != nil && old.err.Error() == err.Error()) {
		return
	}
	if old.keys == nil {
		if !s.remote { // the caller gets it as an error
			return
		}
		s.logger.Error("loading the token keys, no token can be verified until they are", zap.Error(err))
		return
	}
	s.logger.Warn("reading the token keys again, the last good ones stay", zap.Error(err))
}

// parseSecretFile takes the file byte by byte, because Airflow takes the secret
// so: from a variable, and from the output of a command such as cat.
func (s *keySource) parseSecretFile(content []byte) (*identity.Keys, error) {
	if bytes.HasSuffix(content, []byte("\n")) {
		s.logger.Warn("token secret_file ends in a line break, which is a part of the secret: remove it unless Airflow's secret ends in one too")
	}
	return identity.NewSecret(content)
}

func (s *keySource) parseJWKS(document []byte) (*identity.Keys, error) {
	keys, skipped, err := identity.ParseJWKS(document)
	if err == nil && len(skipped) > 0 {
		s.logger.Warn("leaving out keys of the JWKS that can't be used", zap.Errors("keys", skipped))
	}
	return keys, err
}
