package resolver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"github.com/dagfence/dagfence/rotate"
)

// maxLookupBody bounds what is read of the lookup service's answer.
const maxLookupBody = 64 << 10

// LookupOptions are those of a [Lookup]. URL and Timeout must be set.
type LookupOptions struct {
	// URL is that of the lookup service, http or https, with or without a path;
	// [OwnersPath] is appended.
	URL string
	// Token is sent as a bearer token; empty for none.
	Token string
	// Refresh returns URL and Token as they are now, with the present contents of
	// files that they are made of. Nil where they do not change.
	Refresh func() (url, token string, err error)
	// CAFile holds the certificates to trust instead of the system's, in PEM.
	CAFile string
	// CertFile and KeyFile are a client certificate in PEM, both or neither. These
	// files and CAFile are followed, so that they can be renewed.
	CertFile, KeyFile string
	// Timeout bounds one request.
	Timeout time.Duration
	// Logger logs credentials that are replaced. Nil for none.
	Logger *slog.Logger

	// now is another clock in tests; nil is [time.Now].
	now func() time.Time
}

// Lookup asks the lookup service. 401 and 403 are Denied; whatever is not a
// well-formed 200 is Unavailable.
type Lookup struct {
	timeout time.Duration
	now     func() time.Time
	service *rotate.Value[*lookupService]
}

// lookupService is the service with the credentials of a time.
type lookupService struct {
	endpoint, token string
	client          *http.Client
}

// NewLookup makes a client of the lookup service, which it does not reach yet.
func NewLookup(options LookupOptions) (*Lookup, error) {
	l := &Lookup{timeout: options.Timeout, now: options.now}
	if l.now == nil {
		l.now = time.Now
	}
	var err error
	l.service, err = rotate.New(rotate.Source[*lookupService]{
		Name: "lookup", Logger: options.Logger,
		Text: func() (string, error) {
			url, token := options.URL, options.Token
			var err error
			if options.Refresh != nil {
				url, token, err = options.Refresh()
			}
			return url + "\x00" + token, err
		},
		Files: func(string) []string { return []string{options.CAFile, options.CertFile, options.KeyFile} },
		Make: func(text string) (*lookupService, error) {
			url, token, _ := strings.Cut(text, "\x00")
			return newLookupService(url, token, options, l.timeout)
		},
		Retire: (*lookupService).close,
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func newLookupService(url, token string, options LookupOptions, timeout time.Duration) (*lookupService, error) {
	endpoint, err := lookupEndpoint(url, token)
	if err != nil {
		return nil, err
	}
	config, err := rotate.ClientTLS(options.CAFile, options.CertFile, options.KeyFile)
	switch {
	case errors.Is(err, rotate.ErrKeyPair):
		return nil, fmt.Errorf("lookup tls_client: %w", err)
	case err != nil:
		return nil, fmt.Errorf("lookup %w", err)
	}
	return &lookupService{endpoint, token, &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:        config,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    64,
			IdleConnTimeout:        30 * time.Second,
			TLSHandshakeTimeout:    timeout,
			ResponseHeaderTimeout:  timeout,
			MaxResponseHeaderBytes: maxLookupBody,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// CheckLookup returns what is wrong with a URL and a token of [LookupOptions].
func CheckLookup(url, token string) error {
	_, err := lookupEndpoint(url, token)
	return err
}

// CheckToken returns what is wrong with a bearer token, without the token or the
// option. It takes visible ASCII alone: no fence could send another (RFC 9110,
// section 5.5).
func CheckToken(token string) error {
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("must not contain whitespace or non-ASCII characters")
	}
	return nil
}

// lookupEndpoint returns the URL of the owners, or what is wrong with a URL and a
// token.
func lookupEndpoint(raw, token string) (string, error) {
	endpoint, err := ownersURL(raw)
	if invalid := CheckToken(token); invalid != nil {
		err = errors.Join(err, fmt.Errorf("invalid lookup token: %w", invalid))
	}
	return endpoint, err
}

// ownersURL quotes nothing of the URL: it may hold a password where none belongs.
func ownersURL(raw string) (string, error) {
	parsed, err := url.Parse(raw)
	switch {
	case err != nil, parsed.Scheme != "http" && parsed.Scheme != "https", parsed.Hostname() == "":
		return "", errors.New("invalid lookup URL: must be an http or https URL such as https://lookup:8082 or http://[::1]:8082")
	case parsed.User != nil:
		return "", errors.New("invalid lookup URL: must not contain a user or password; set lookup token")
	case parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		return "", errors.New("invalid lookup URL: must not contain a query or fragment")
	}
	return parsed.JoinPath(OwnersPath).String(), nil
}

// Close closes the idle connections.
func (l *Lookup) Close() { l.service.Close() }

func (s *lookupService) close() { s.client.CloseIdleConnections() }

// Resolve implements [Resolver], with one request.
func (l *Lookup) Resolve(ctx context.Context, questions []Question) []Answer {
	if len(questions) == 0 {
		return []Answer{}
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	body, err := json.Marshal(newOwnersRequest(questions))
	if err != nil {
		return every(len(questions), Answer{Err: fmt.Errorf("%w: writing the questions: %w", ErrUnavailable, err)})
	}
	var answers []Answer
	err = l.service.Use(func(s *lookupService) (err error) {
		answers, err = s.post(ctx, body, questions, l.now())
		return err
	})
	switch {
	case errors.Is(err, ErrDenied):
		return every(len(questions), Answer{Outcome: Denied, Err: err})
	case err != nil:
		return every(len(questions), Answer{Err: fmt.Errorf("%w: %w", ErrUnavailable, err)})
	}
	return answers
}

func (s *lookupService) post(ctx context.Context, body []byte, questions []Question, asked time.Time) ([]Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	// Present but empty, it is not sent, and lets net/http repeat the request
	// on a new connection when the service has closed the idle one.
	request.Header["Idempotency-Key"] = []string{}
	// Baggage is the task's own, and stays between it and upstream.
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(request.Header))
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoConnection, errors.Unwrap(err)) // without the URL (http.Client.Do)
	}
	defer func() { _ = response.Body.Close() }()
	return parseLookup(response, questions, asked)
}

func parseLookup(response *http.Response, questions []Question, asked time.Time) ([]Answer, error) {
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%w: the lookup service returned %d: check lookup token and tls_client", ErrDenied, response.StatusCode)
	default:
		return nil, fmt.Errorf("the lookup service returned %d", response.StatusCode)
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
		return nil, errors.New("the lookup service's answer is not valid JSON")
	}
	answers, err := parsed.Parse(questions, asked)
	if err != nil {
		return nil, fmt.Errorf("invalid answer of the lookup service: %w", err)
	}
	return answers, nil
}
