package lookup

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/rotate"
)

// grace is how long requests in flight may take once the service is to end.
const grace = 10 * time.Second

// ServerOptions says how [Run] serves. With both a token and a client CA, both
// are asked for.
type ServerOptions struct {
	// Listen is the TCP address, host:port. Without TokenFile and ClientCA its
	// host must be loopback.
	Listen string
	// TokenFile is the file that holds the bearer secret, or several, one on a
	// line: any of them is taken, so that one can follow another. Whitespace around
	// them is ignored. Empty asks for none. All files here are followed.
	TokenFile string
	// TLSCert and TLSKey are PEM files. Both empty means plain HTTP.
	TLSCert, TLSKey string
	// ClientCA is a PEM file: POST /v1/owners takes only clients whose
	// certificate it has signed. It needs TLSCert and TLSKey.
	ClientCA string
	// Forget receives what gets another owner, from [Directory.Watch]. Nil for none.
	Forget Forget
	// Logger is nil for [slog.Default].
	Logger *slog.Logger
}

// Check returns what is wrong with the options by themselves; [Run] also returns what
// is wrong with their files.
func (o *ServerOptions) Check() error {
	switch {
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key belong together: set both, or neither to serve without TLS")
	case o.ClientCA != "" && o.TLSCert == "":
		return errors.New("--client-ca needs TLS: set --tls-cert and --tls-key")
	case o.TokenFile == "" && o.ClientCA == "" && !isLoopback(o.Listen):
		return fmt.Errorf("invalid --listen %q without authentication: must be a loopback address; set --token-file or --client-ca for others", o.Listen)
	}
	return nil
}

// Run serves the directory over HTTP until ctx ends, then lets the requests in
// flight end and returns nil. The directory stays the caller's to close.
func Run(ctx context.Context, d *Directory, options ServerOptions) error {
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if err := options.Check(); err != nil {
		return err
	}
	tokens, err := options.tokens()
	if err != nil {
		return err
	}
	tlsConfig, err := options.tls()
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w: must be a free address, as host:port", err)
	}
	metrics := newMetrics(d) //nolint:contextcheck // readiness is asked for by each scrape
	server := &http.Server{
		Handler:           newHandler(d, tokens, options.ClientCA != "", metrics, options.Logger),
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(options.Logger.Handler(), slog.LevelDebug),
	}
	options.Logger.Info("lookup service listens", "address", listener.Addr().String(), "tls", tlsConfig != nil, "watch", options.Forget != nil)
	if options.Forget != nil {
		watching, stop := context.WithCancel(ctx)
		var done sync.WaitGroup
		done.Go(func() { d.Watch(watching, options.Logger, metrics.counted(options.Forget)) })
		defer done.Wait()
		defer stop()
	}
	return serve(ctx, server, listener)
}

func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	ended := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			ended <- server.ServeTLS(listener, "", "")
			return
		}
		ended <- server.Serve(listener)
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return fmt.Errorf("ending the requests in flight: %w", errors.Join(err, server.Close()))
	}
	return nil
}

// tokens returns what returns the bearer secrets of the moment; nil where none is
// asked for.
//
//nolint:nilnil // newHandler's own way to say "no token"
func (o *ServerOptions) tokens() (func() []string, error) {
	if o.TokenFile == "" {
		return nil, nil
	}
	current, err := rotate.New(rotate.Source[[]string]{
		Name: "token-file", Text: rotate.Text(o.TokenFile), Files: func(path string) []string { return []string{path} },
		Make: readTokens, Logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	return current.Get, nil
}

func readTokens(path string) ([]string, error) {
	data, err := rotate.ReadFile(path)
	if err != nil {
		if failed := new(fs.PathError); errors.As(err, &failed) {
			err = failed.Err // the path may be the secret itself
		}
		return nil, fmt.Errorf("--token-file: %w: must be the path of a readable file", err)
	}
	var tokens []string
	for line := range strings.Lines(string(data)) {
		if token := strings.TrimSpace(line); token != "" {
			tokens = append(tokens, token)
		}
	}
	if len(tokens) == 0 {
		return nil, errors.New("--token-file: the file is empty: write the secret into it")
	}
	for _, token := range tokens {
		if err := resolver.CheckToken(token); err != nil {
			return nil, fmt.Errorf("invalid token in --token-file: %w", err)
		}
	}
	return tokens, nil
}

// isLoopback reports whether nobody beyond this machine can reach the address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// tls returns nil for plain HTTP.
//
//nolint:nilnil // http.Server's own way to say "no TLS"
func (o *ServerOptions) tls() (*tls.Config, error) {
	if o.TLSCert == "" {
		return nil, nil
	}
	current, err := rotate.New(rotate.Source[*tls.Config]{
		Name: "tls-cert, tls-key and client-ca", Text: rotate.Text(""), Logger: o.Logger,
		Files: func(string) []string { return []string{o.TLSCert, o.TLSKey, o.ClientCA} },
		Make:  func(string) (*tls.Config, error) { return o.readTLS() },
	})
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return current.Get(), nil
	}}, nil
}

func (o *ServerOptions) readTLS() (*tls.Config, error) {
	pair, err := rotate.KeyPair(o.TLSCert, o.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert and --tls-key: %w: must be the paths of a certificate and its key in PEM", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	if o.ClientCA == "" {
		return config, nil
	}
	if config.ClientCAs, err = rotate.CertPool(o.ClientCA); err != nil {
		return nil, fmt.Errorf("--client-ca: %w: must be the path of a PEM file", err)
	}
	// Not required of all: probes and scrapers have no certificate, and see
	// nothing that is secret.
	config.ClientAuth = tls.VerifyClientCertIfGiven
	return config, nil
}
