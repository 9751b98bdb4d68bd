package resolver

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxLookupBody bounds what is read of the lookup service's answer.
const maxLookupBody = 64 << 10

// LookupOptions are those of a [Lookup]. Only URL must be set.
type LookupOptions struct {
	// URL is that of the lookup service, http or https, with or without a path;
	// [OwnersPath] is appended.
	URL string
	// Token is sent as a bearer token; empty for none.
	Token string
	// CAFile holds the certificates to trust instead of the system's, in PEM.
	CAFile string
	// CertFile and KeyFile are a client certificate in PEM, both or neither.
	// They are read anew for each connection, so that they can be renewed.
	CertFile, KeyFile string
	// Timeout bounds one request. 0 is [DefaultTimeout].
	Timeout time.Duration
	// Clock tells the time. Nil is [time.Now].
	Clock func() time.Time
}

// Lookup asks the lookup service. 401 and 403 are Denied; whatever is not a
// well-formed 200 is Unavailable.
type Lookup struct {
	endpoint string
	token    string
	timeout  time.Duration
	now      func() time.Time
	client   *http.Client
}

// NewLookup makes a client of the lookup service, which it does not reach yet.
func NewLookup(options LookupOptions) (*Lookup, error) {
	endpoint, err := lookupEndpoint(options.URL)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(options.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("lookup token holds a blank or a character outside of ASCII: give it without a line break")
	}
	if options.Timeout < 0 {
		return nil, fmt.Errorf("lookup timeout is %v: give a duration above 0, such as 2s", options.Timeout)
	}
	config, err := lookupTLS(options)
	if err != nil {
		return nil, err
	}
	l := &Lookup{endpoint: endpoint, token: options.Token, timeout: orDefault(options.Timeout, DefaultTimeout), now: options.Clock}
	if l.now == nil {
		l.now = time.Now
	}
	l.client = &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:        config,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    64,
			IdleConnTimeout:        30 * time.Second,
			TLSHandshakeTimeout:    l.timeout,
			ResponseHeaderTimeout:  l.timeout,
			MaxResponseHeaderBytes: maxLookupBody,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return l, nil
}

// lookupEndpoint quotes nothing of the URL: it may hold a password where none
// belongs.
func lookupEndpoint(raw string) (string, error) {
	parsed, err := url.Parse(raw)
	switch {
	case raw == "":
		return "", errors.New("lookup url is empty: give the lookup service's, such as https://lookup:8082")
	case err != nil:
		return "", errors.New("lookup url is not a URL: give the lookup service's, such as https://lookup:8082")
	case parsed.Scheme != "http" && parsed.Scheme != "https", parsed.Hostname() == "":
		return "", errors.New("lookup url has no http or https host: give the lookup service's, such as https://lookup:8082")
	case parsed.User != nil:
		return "", errors.New("lookup url holds a user or password: give the secret as lookup token")
	case parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		return "", errors.New("lookup url holds a query or a fragment: leave it out")
	}
	return parsed.JoinPath(OwnersPath).String(), nil
}

func lookupTLS(options LookupOptions) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if options.CAFile != "" {
		if config.RootCAs, err = certPool(options.CAFile); err != nil {
			return nil, fmt.Errorf("lookup %w", err)
		}
	}
	if options.CertFile == "" && options.KeyFile == "" {
		return config, nil
	}
	load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		certificate, err := tls.LoadX509KeyPair(options.CertFile, options.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("lookup tls_client: reading the certificate and its key: %w", err)
		}
		return &certificate, nil
	}
	if _, err := load(nil); err != nil {
		return nil, err
	}
	config.GetClientCertificate = load
	return config, nil
}

// Close closes the idle connections.
func (l *Lookup) Close() { l.client.CloseIdleConnections() }

// Resolve implements [Resolver], with one request.
func (l *Lookup) Resolve(ctx context.Context, questions []Question) []Answer {
	if len(questions) == 0 {
		return []Answer{}
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	answers, err := l.post(ctx, questions)
	switch {
	case errors.Is(err, ErrDenied):
		return every(len(questions), Answer{Outcome: Denied, Err: err})
	case err != nil:
		return every(len(questions), Answer{Err: fmt.Errorf("%w: %w", ErrUnavailable, err)})
	}
	return answers
}

func (l *Lookup) post(ctx context.Context, questions []Question) ([]Answer, error) {
	body, err := json.Marshal(NewOwnersRequest(questions))
	if err != nil {
		return nil, fmt.Errorf("writing the questions: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	if l.token != "" {
		request.Header.Set("Authorization", "Bearer "+l.token)
	}
	// Present but empty, it is not sent, and lets net/http repeat the request
	// on a new connection when the service has closed the idle one.
	request.Header["Idempotency-Key"] = []string{}
	asked := l.now()
	response, err := l.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking the lookup service: %w", withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	return parseLookup(response, questions, asked)
}

// withoutURL drops what [url.Error] puts before the cause.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

func parseLookup(response *http.Response, questions []Question, asked time.Time) ([]Answer, error) {
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%w: the lookup service answers %d: check lookup token and tls_client", ErrDenied, response.StatusCode)
	default:
		return nil, fmt.Errorf("the lookup service answers %d", response.StatusCode)
	}
	if media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, errors.New("the lookup service's answer is not application/json")
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxLookupBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the lookup service's answer: %w", err)
	}
	if len(content) > maxLookupBody {
		return nil, fmt.Errorf("the lookup service's answer is longer than %d bytes", maxLookupBody)
	}
	var parsed OwnersResponse
	if err := json.Unmarshal(content, &parsed); err != nil {
		return nil, errors.New("the lookup service's answer is not the JSON that it should be")
	}
	answers, err := parsed.Parse(questions, asked)
	if err != nil {
		return nil, fmt.Errorf("the lookup service's answer is wrong: %w", err)
	}
	return answers, nil
}
