package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/dagfence/dagfence/setup"
)

// defaultPath is where Airflow mounts the Execution API, unless its base_url has
// a path.
const defaultPath = "/execution"

// checkTasks checks that the URL that tasks are given leads to the fence, and
// through it to upstream.
func (r *run) checkTasks(ctx context.Context) {
	const check = "tasks' URL"
	if r.Tasks == nil {
		r.skip(check, "no URL: set --fence to the tasks' [core] execution_api_server_url")
		return
	}
	s := newSite(r.Tasks, r.Tasks.Path)
	if s.base.Path == "" {
		r.problem(check, "%s has no path: add the one that the Execution API is mounted at, such as %s/execution/", s, s)
		return
	}
	who, health, err := s.probe(ctx)
	switch {
	case err != nil:
		r.problem(check, "%s cannot be reached: %v: %s", s, err, hintFor(err, setup.TLSSettings{}))
	case who == airflow:
		r.problem(check, "Airflow itself answers at %s, so tasks bypass the fence: set [core] execution_api_server_url to the fence's URL", s)
	case who == stranger:
		r.problem(check, "%s/health (%d) is not answered by a fence: set the fence's address, with its base_path as the path", s, health.status)
	case health.status != http.StatusOK:
		r.problem(check, "the fence answers at %s, but its upstream returned %d: see the fence's log, and its upstream", s, health.status)
	default:
		r.ok(check, "%s leads to the fence, and through it to upstream", s)
	}
}

// checkBypass checks that nothing but the fence can reach upstream.
func (r *run) checkBypass(ctx context.Context) {
	const check = "bypass"
	switch {
	case r.upstream == nil:
		r.skip(check, "needs upstream")
		return
	case r.Socket != "":
		r.ok(check, "upstream listens on a unix socket, whose permissions decide who can bypass the fence")
		return
	}
	host := r.Upstream.Host
	if local, err := isLoopback(ctx, r.Upstream.Hostname()); err != nil || !local {
		r.skip(check, "whatever can reach %s can bypass the fence, which cannot be seen from here: let a network policy allow only the fence, "+
			"and run `dagfence check --direct-url %s` where tasks run", host, r.upstream)
		return
	}
	addresses, err := r.addresses()
	if err != nil {
		r.skip(check, "listing this machine's addresses: %v", err)
		return
	}
	for _, address := range addresses {
		server := *r.Upstream
		server.Host = net.JoinHostPort(address.String(), r.Upstream.Port())
		s := newSite(&server, r.upstream.base.Path)
		if s.dial(ctx) == nil {
			r.problem(check, "upstream's port is also open at %s, which others than the fence may reach: bind it to loopback (airflow api-server --host 127.0.0.1)",
				server.Host)
			return
		}
	}
	r.ok(check, "upstream's port is open on loopback, and on none of this machine's %d other addresses", len(addresses))
}

// interfaceAddresses returns the addresses that other machines can reach, so
// neither loopback nor link-local ones.
func interfaceAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	found := make([]netip.Addr, 0, len(all))
	for _, one := range all {
		prefix, err := netip.ParsePrefix(one.String())
		if err == nil && !prefix.Addr().IsLoopback() && !prefix.Addr().IsLinkLocalUnicast() {
			found = append(found, prefix.Addr())
		}
	}
	return found, nil
}

// isLoopback reports whether all addresses of the host are loopback addresses.
func isLoopback(ctx context.Context, host string) (bool, error) {
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return false, fmt.Errorf("resolving %s: %w", host, err)
	}
	for _, address := range addresses {
		if !address.Unmap().IsLoopback() {
			return false, nil
		}
	}
	return true, nil
}

// checkUnreachable checks, from where tasks run, that the api-server cannot be
// reached. A failure behind an open port does not prove it.
func (r *run) checkUnreachable(ctx context.Context, direct *url.URL) {
	const check = "bypass"
	if direct == nil {
		r.skip(check, "no api-server: set --direct-url to its own URL")
		return
	}
	path := direct.Path
	if strings.Trim(path, "/") == "" {
		path = defaultPath
	}
	s := newSite(direct, path)
	closed := s.dial(ctx)
	who, health, err := s.probe(ctx) // by a proxy too, if the environment names one
	var unknown *net.DNSError
	switch {
	case errors.As(err, &unknown):
		r.problem(check, "the name in %s cannot be resolved, so nothing was tried: set an address of the api-server", s)
	case err != nil && closed != nil:
		r.ok(check, "%s cannot be reached from here: %v", s, closed)
	case err != nil:
		r.warn(check, "a port is open at %s, but no answer came (%v): if it is the api-server's, allow only the fence to reach it", s, err)
	case who == airflow:
		r.problem(check, "Airflow answers at %s, so whatever runs here can bypass the fence: allow only the fence to reach it "+
			"(by a network policy), or bind it to the fence's loopback", s)
	case who == theFence:
		r.ok(check, "the fence answers at %s", s)
	default:
		r.warn(check, "something answers at %s (%d) that is not an Execution API: if it is the api-server, add its path, or allow only the fence to reach it",
			s, health.status)
	}
}
