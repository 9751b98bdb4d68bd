package keyring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/rotate"
)

// ErrNoConnection is wrapped by the error of a JWKS URL that cannot be reached.
var ErrNoConnection = errors.New("fetching the JWKS")

// Read reads the keys once. skipped are the keys of a JWKS that can't be used. The
// error names the option.
func Read(ctx context.Context, opts Options) (keys *identity.Keys, skipped []error, err error) {
	k := &Keyring{logger: zap.NewNop()}
	if err := k.choose(opts, &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}); err != nil {
		return nil, nil, err
	}
	content, err := k.read(ctx)
	switch {
	case err != nil:
	case opts.JWKS != "":
		keys, skipped, err = identity.ParseJWKS(content)
	default:
		keys, err = k.parse(content)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", k.option, err)
	}
	return keys, skipped, nil
}

// isURL reports whether a location is a URL and not a file: as Airflow decides it,
// but for a file whose name merely begins with "http".
func isURL(location string) bool { return strings.Contains(location, "://") }

// CheckJWKS returns an error if the location of a JWKS is an invalid URL.
func CheckJWKS(location string) error {
	if !isURL(location) {
		return nil
	}
	_, err := parseJWKSURL(location)
	return err
}

// parseJWKSURL quotes nothing of the URL, which may hold a password.
func parseJWKSURL(raw string) (*url.URL, error) {
	parsed, err := url.Parse(raw)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "" {
		return nil, errors.New("invalid token jwks: must be an http or https URL such as https://host/path, or the path of a file")
	}
	return parsed, nil
}

func fileReader(path string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		file, err := rotate.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close() //nolint:errcheck // read only
		return readCapped(file)
	}
}

// fetcher reads a URL. It follows no redirect, as Airflow's httpx client does
// not: a set that Airflow can't load should not work here.
func fetcher(location *url.URL, transport http.RoundTripper) func(context.Context) ([]byte, error) {
	client := &http.Client{
		Transport:     transport,
		Timeout:       jwksTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, location.String(), http.NoBody)
		if err != nil {
			return nil, errors.New("not a valid URL")
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoConnection, errors.Unwrap(err)) // without the URL (http.Client.Do), whose query may be a secret
		}
		defer response.Body.Close() //nolint:errcheck // read only
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("fetching the JWKS: server returned %d: must be 200 (redirects are not followed)", response.StatusCode)
		}
		return readCapped(response.Body)
	}
}

func readCapped(from io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, maxKeyBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxKeyBytes {
		return nil, fmt.Errorf("more than %d bytes", maxKeyBytes)
	}
	return body, nil
}
