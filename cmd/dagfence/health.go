package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/proxyconfig"
)

// healthTimeout is shorter than that of a container's health check, so that the
// reason is still printed. A fence that asks its sources for so long is not ready.
const healthTimeout = 5 * time.Second

func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Reports whether a running fence or lookup service is ready",
		Long: `
Asks /ready of a running fence, or of a lookup service. It prints "ready" and
exits with 0 where it is ready, and else prints why not to standard error, and
exits with 1, after 5 seconds at most. It is made for the health check of a
container, and needs no shell.

--status is the --status of dagfence proxy, the --listen of dagfence lookup, or
the address of the site with dagfence_status: host:port or :port, a URL for HTTPS
(https://127.0.0.1:8082), or a unix socket (unix//run/fence.sock). On loopback the
certificate is not verified, since it is for the name that clients use.`,
	}
	cmd.Flags().String("status", "127.0.0.1:8083", "Address that serves /ready, host:port, URL or unix socket")
	return runs(cmd, func(flags caddycmd.Flags) error {
		ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
		defer cancel()
		if err := askReady(ctx, flags.String("status")); err != nil {
			return err
		}
		_, err := fmt.Println("ready")
		return err
	})
}

// askReady returns nil if the fence or the lookup service whose status is at an
// address is ready.
func askReady(ctx context.Context, status string) error {
	server, socket, err := parseStatus(status)
	if err != nil {
		return usageError{err}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.JoinPath("/ready").String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("asking %s: %w", status, err)
	}
	client := http.Client{Transport: statusTransport(server, socket), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answered, err := client.Do(r)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("asking %s: no answer within %v", status, healthTimeout)
	}
	if failed := new(url.Error); errors.As(err, &failed) {
		return fmt.Errorf("asking %s: %w", status, failed.Err) // it names the URL a second time
	}
	defer func() { _ = answered.Body.Close() }() // it is only read
	return readiness(status, answered)
}

// readiness returns why an answer to /ready does not say that a fence or a lookup
// service is ready. Another server may answer 200 to anything.
func readiness(status string, answered *http.Response) error {
	var body struct {
		Status string `json:"status"` // of a fence
		Ready  *bool  `json:"ready"`  // of a lookup service
		Reason string `json:"reason"`
	}
	err := json.NewDecoder(io.LimitReader(answered.Body, 64<<10)).Decode(&body)
	switch {
	case err != nil || (body.Status == "" && body.Ready == nil):
		return fmt.Errorf("neither a fence nor a lookup service answers at %s (status %d): set --status to the address of dagfence proxy --status, or of dagfence lookup --listen",
			status, answered.StatusCode)
	case answered.StatusCode == http.StatusOK && (body.Status == "ready" || body.Ready != nil && *body.Ready):
		return nil
	}
	return fmt.Errorf("not ready: %s", body.Status+body.Reason)
}

// statusTransport connects directly, whatever proxy the environment names, and to the
// unix socket if there is one.
func statusTransport(server *url.URL, socket string) *http.Transport {
	transport := &http.Transport{DisableKeepAlives: true}
	if socket != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	host := server.Hostname()
	if address, err := netip.ParseAddr(host); host == "localhost" || err == nil && (address.IsLoopback() || address.IsUnspecified()) {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // nobody is between, and nothing secret is sent
	}
	return transport
}

// parseStatus returns the server that an address names, and its unix socket, if any.
func parseStatus(status string) (server *url.URL, socket string, err error) {
	if path, ok := strings.CutPrefix(status, "unix/"); ok && path != "" {
		path, _, _ = strings.Cut(path, "|") // Caddy's permission bits
		return &url.URL{Scheme: "http", Host: "localhost"}, path, nil
	}
	if !strings.Contains(status, "://") {
		if err := proxyconfig.CheckListen("--status", status); err != nil {
			return nil, "", fmt.Errorf("%w; or a URL, or unix//path", err)
		}
		return &url.URL{Scheme: "http", Host: localHost(status)}, "", nil
	}
	if proxyconfig.HasBareIPv6(status) {
		return nil, "", errors.New("--status: an IPv6 address needs brackets: write it as http://[::1]:8083")
	}
	u, err := url.Parse(status)
	if err != nil || u.Hostname() == "" && u.Port() == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") ||
		(strings.Trim(u.Path, "/") != "" && u.Path != "/ready") || u.RawQuery != "" || u.Fragment != "" {
		return nil, "", errors.New("--status is not the URL of a server: must be scheme and host:port alone, such as https://127.0.0.1:8082")
	}
	return &url.URL{Scheme: u.Scheme, Host: localHost(u.Host)}, "", nil
}

// localHost returns an address with a host to connect to: ":8083" is where something
// listens on all of this machine's addresses.
func localHost(address string) string {
	if strings.HasPrefix(address, ":") {
		return "127.0.0.1" + address
	}
	return address
}
