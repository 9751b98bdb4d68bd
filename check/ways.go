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

// checkTasks looks whether the URL that tasks are given leads to the fence, and
// through it to upstream.
func (r *run) checkTasks(ctx context.Context) {
	const check = "tasks' URL"
	if r.Tasks == nil {
		r.skip(check, "none is given: give what tasks have in [core] execution_api_server_url by --fence")
		return
	}
	s := newSite(r.Tasks, r.Tasks.Path)
	if s.base.Path == "" {
		r.problem(check, "%s has no path: tasks need it with the mount of the Execution API, such as %s/execution/", s, s)
		return
	}
	who, health, err := s.probe(ctx)
	switch {
	case err != nil:
		r.problem(check, "%s can't be asked: %v: %s", s, err, mendOf(err, setup.TLSSettings{}))
	case who == airflow:
		r.problem(check, "Airflow itself answers at %s, so tasks go around the fence: set [core] execution_api_server_url to the fence's", s)
	case who == stranger:
		r.problem(check, "what answers at %s/health (%d) is no fence: give the fence's address, and the path that base_path has there", s, health.status)
	case health.status != http.StatusOK:
		r.problem(check, "the fence answers at %s, but what it forwards comes back with %d: see its log, and its upstream", s, health.status)
	default:
		r.ok(check, "%s leads to the fence, and through it to upstream", s)
	}
}

// checkAround looks whether upstream can be reached by another way than the
// fence's own.
func (r *run) checkAround(ctx context.Context) {
	const check = "a way around"
	switch {
	case r.upstream == nil:
		r.skip(check, "upstream comes first")
		return
	case r.Socket != "":
		r.ok(check, "upstream listens on a unix socket, whose permissions say who may go around the fence")
		return
	}
	host := r.Upstream.Host
	if local, err := isLoopback(ctx, r.Upstream.Hostname()); err != nil || !local {
		r.skip(check, "whoever reaches %s goes around the fence, and from here nobody can tell who does: let a network policy allow the fence alone, "+
			"and run `dagfence check --around %s` where tasks run", host, r.upstream)
		return
	}
	addresses, err := r.Addresses()
	if err != nil {
		r.skip(check, "this machine's addresses can't be listed: %v", err)
		return
	}
	for _, address := range addresses {
		server := *r.Upstream
		server.Host = net.JoinHostPort(address.String(), r.Upstream.Port())
		s := newSite(&server, r.upstream.base.Path)
		if s.dial(ctx) == nil {
			r.problem(check, "upstream's port is open at %s too, where others than the fence may reach it: bind it to loopback (airflow api-server --host 127.0.0.1)",
				server.Host)
			return
		}
	}
	r.ok(check, "upstream's port is open on loopback, and on none of this machine's %d other addresses", len(addresses))
}

// interfaceAddresses leaves out what nobody else reaches: loopback, and
// link-local ones, which need a zone and end at the neighbours.
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

// isLoopback tells whether the host is this machine, to this machine alone.
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

// checkUnreachable looks, from where tasks run, whether the api-server can be
// reached. That something fails behind an open port is no proof that it can't.
func (r *run) checkUnreachable(ctx context.Context, around *url.URL) {
	const check = "a way around"
	if around == nil {
		r.skip(check, "no api-server is given: give its address by --around")
		return
	}
	path := around.Path
	if strings.Trim(path, "/") == "" {
		path = defaultPath
	}
	s := newSite(around, path)
	closed := s.dial(ctx)
	who, health, err := s.probe(ctx) // by a proxy too, if the environment names one
	var unknown *net.DNSError
	switch {
	case errors.As(err, &unknown):
		r.problem(check, "the name in %s is not known here, so nothing was tried: give an address that the api-server has", s)
	case err != nil && closed != nil:
		r.ok(check, "%s can't be reached from here: %v", s, closed)
	case err != nil:
		r.warn(check, "a port is open at %s, though it gives no answer here (%v): if it is the api-server's, allow only the fence to reach it", s, err)
	case who == airflow:
		r.problem(check, "Airflow answers at %s, so whoever runs here can go around the fence: allow only the fence to reach it "+
			"(by a network policy), or bind it to the fence's loopback", s)
	case who == theFence:
		r.ok(check, "the fence answers at %s", s)
	default:
		r.warn(check, "something answers at %s (%d) that is no Execution API: if it is the api-server, give its path too, or allow only the fence to reach it",
			s, health.status)
	}
}
