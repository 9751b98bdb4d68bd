package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dagfence/dagfence/rotate"
)

// maxBody is how much of an answer is read.
const maxBody = 1 << 20

// site is an Execution API, or what is configured as one.
type site struct {
	base   *url.URL // where it is mounted, no slash at its end
	host   string   // the Host header; empty is base's
	client *http.Client
}

// newSite returns a site that is requested as tasks do: through a forward proxy,
// if the environment names one.
func newSite(server *url.URL, path string) *site {
	base := *server
	base.Path = strings.TrimRight(path, "/")
	return &site{base: &base, client: &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ResponseHeaderTimeout: patience},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// newUpstream returns the site that the fence forwards to, requested as the fence
// does.
func (o *Options) newUpstream(path string) (*site, error) {
	s := newSite(o.Upstream, path)
	s.host = o.UpstreamHost
	if o.PassesHost && o.Tasks != nil {
		s.host = o.Tasks.Host
	}
	transport := &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: patience}
	s.client.Transport = transport
	if o.ForwardProxy != "" {
		transport.Proxy = http.ProxyFromEnvironment
	}
	if o.Socket != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", o.Socket)
		}
	}
	if len(o.UpstreamCA) > 0 {
		pool := x509.NewCertPool()
		for _, file := range o.UpstreamCA {
			content, err := rotate.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if !pool.AppendCertsFromPEM(content) {
				return nil, fmt.Errorf("%s has no certificate in it", file)
			}
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return s, nil
}

func (s *site) String() string { return s.base.String() }

// at returns the same site at another path.
func (s *site) at(path string) *site {
	base := *s.base
	base.Path = path
	return &site{base: &base, host: s.host, client: s.client}
}

// withOwnHost returns the same site with the host in its URL as Host header; nil
// where that is so already.
func (s *site) withOwnHost() *site {
	if s.host == "" || s.host == s.base.Host {
		return nil
	}
	return &site{base: s.base, client: s.client}
}

// dial returns nil if the server's port is open.
func (s *site) dial(ctx context.Context) error {
	port := s.base.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[s.base.Scheme]
	}
	dialer := net.Dialer{Timeout: patience / 2}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(s.base.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}

// reply is the answer to a request.
type reply struct {
	status int
	header http.Header
	body   []byte
	// sent and took are when the request was sent, and how long it took.
	sent time.Time
	took time.Duration
}

// detail returns the "detail" of an error in Airflow's form, if it is a text.
func (a reply) detail() string {
	var body struct{ Detail any }
	if json.Unmarshal(a.body, &body) != nil {
		return ""
	}
	text, _ := body.Detail.(string)
	return text
}

// get requests a path below the mount. headers are pairs.
func (s *site) get(ctx context.Context, path string, headers ...string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base.String()+path, http.NoBody)
	if err != nil {
		return reply{}, fmt.Errorf("making the request: %w", err)
	}
	request.Host = s.host
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	sent := time.Now()
	response, err := s.client.Do(request)
	if err != nil {
		return reply{}, withoutURL(err)
	}
	defer response.Body.Close() //nolint:errcheck // read only
	took := time.Since(sent)
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return reply{}, fmt.Errorf("reading the answer: %w", err)
	}
	return reply{status: response.StatusCode, header: response.Header, body: body, sent: sent, took: took}, nil
}

// kind is what answers at a site. The zero kind is unknown.
type kind uint8

const (
	stranger kind = iota
	theFence
	airflow
)

// probe returns what answers at a site, and its answer to /health, which needs no
// token. The fence refuses a version that is no date with 400 in its own form, in
// audit mode too; Airflow does with 422.
func (s *site) probe(ctx context.Context) (kind, reply, error) {
	first, err := s.get(ctx, "/health", "Airflow-API-Version", "dagfence-check")
	if err != nil {
		return stranger, reply{}, err
	}
	var refusal struct {
		Detail struct{ Reason, Message string }
	}
	fenced := first.status == http.StatusBadRequest && json.Unmarshal(first.body, &refusal) == nil &&
		refusal.Detail.Reason == "invalid_request" && refusal.Detail.Message != ""
	second, err := s.get(ctx, "/health")
	if err != nil {
		return stranger, reply{}, err
	}
	var health struct{ Status string }
	healthy := second.status == http.StatusOK && json.Unmarshal(second.body, &health) == nil && health.Status == "healthy"
	switch {
	case fenced:
		return theFence, second, nil
	case healthy:
		return airflow, second, nil
	}
	return stranger, second, nil
}
