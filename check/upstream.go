package check

import (
	"context"
	"time"

	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/setup"
)

// checkUpstream checks that the fence forwards to an Execution API.
func (r *run) checkUpstream(ctx context.Context) {
	const check = "upstream"
	switch {
	case !r.configured:
		r.skip(check, "needs a valid configuration")
		return
	case r.Upstream == nil:
		r.skip(check, "no upstream: set --upstream")
		return
	}
	s, err := r.newUpstream(r.settings.BasePath)
	if err != nil {
		r.problem(check, "reading the CA certificates for upstream: %v: must be the path of a PEM file", err)
		return
	}
	if r.ForwardProxy != "" {
		r.problem("forward proxy", "requests go to %s through the forward proxy that %s names, tokens included: "+
			"write network_proxy none into the transport of reverse_proxy", s, r.ForwardProxy)
	}
	who, health, err := s.probe(ctx)
	switch {
	case err != nil:
		r.problem(check, "%s cannot be reached: %v: %s", s, err, hintFor(err, setup.UpstreamTLS))
	case who == theFence:
		r.problem(check, "a fence answers at %s, not the api-server: set upstream to the api-server's own address", s)
	case who == stranger:
		r.searchUpstream(ctx, s, health)
	default:
		r.upstream = s
		r.skew, r.dated = skewOf(health, time.Now())
		r.checkVersion(health.header.Get("Airflow-Api-Version"))
	}
}

// searchUpstream looks for an Execution API at another host or mount, to suggest it.
func (r *run) searchUpstream(ctx context.Context, s *site, health reply) {
	if own := s.withOwnHost(); own != nil {
		if who, _, err := own.probe(ctx); err == nil && who == airflow {
			r.problem("upstream", "it answers %d to the Host %s, and as an Execution API to its own, %s: write header_up Host {upstream_hostport} "+
				"into reverse_proxy, or remove --upstream-host", health.status, s.host, s.base.Host)
			return
		}
	}
	for _, path := range []string{"/execution", "/airflow/execution"} {
		if who, _, err := s.at(path).probe(ctx); err == nil && who == airflow {
			r.problem("upstream", "there is no Execution API below %s, but one below %s: set base_path %s, or AIRFLOW__API__BASE_URL as the api-server has it",
				r.settings.BasePath, path, path)
			return
		}
	}
	r.problem("upstream", "%s/health answers %d, so there is no Execution API: set the api-server's URL, start it with that API "+
		"(airflow api-server --apps all, or execution), and set base_path to where its [api] base_url puts it", s, health.status)
}

// checkVersion compares upstream's newest API version, which it names in its
// answers, with the newest of the table of endpoints.
func (r *run) checkVersion(version string) {
	r.apiVersion = version
	switch {
	case version == "":
		r.ok("upstream", "%s is an Execution API of unknown version", r.upstream)
	case version > route.Newest():
		r.warn("upstream", "its API version %s is newer than %s, the newest known here: endpoints that it adds are refused, "+
			"and one that it changes is read as before: upgrade dagfence", version, route.Newest())
	default:
		r.ok("upstream", "%s is an Execution API of version %s", r.upstream, version)
	}
}
