package main_test

import (
	"slices"
	"testing"

	main "github.com/dagfence/dagfence/cmd/dagfence"
)

func TestCheck_ReachesUpstreamAsTheCaddyfilesProxyDoes(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:9")
	t.Setenv("CA", "/etc/ca.pem")
	for name, tc := range map[string]struct {
		global, proxy, host string
		passesHost          bool
		forwarder           string
		limit               int
		authorities         []string
	}{
		"as it is":           {proxy: "reverse_proxy 10.0.0.1:8080", passesHost: true, forwarder: "HTTP_PROXY"},
		"its own name":       {proxy: "reverse_proxy 10.0.0.1:8080 {\nheader_up Host {upstream_hostport}\n}", host: "10.0.0.1:8080", forwarder: "HTTP_PROXY"},
		"another name":       {proxy: "reverse_proxy 10.0.0.1:8080 {\nheader_up host airflow.example\n}", host: "airflow.example", forwarder: "HTTP_PROXY"},
		"network_proxy none": {proxy: "reverse_proxy 10.0.0.1:8080 {\ntransport http {\nnetwork_proxy none\n}\n}", passesHost: true},
		"loopback":           {proxy: "reverse_proxy 127.0.0.1:8080", passesHost: true},
		"a unix socket":      {proxy: "reverse_proxy unix//run/x.sock", passesHost: true},
		"HTTPS": {
			proxy:       "reverse_proxy https://api:8443 {\ntransport http {\ntls_trust_pool file {env.CA}\n}\n}",
			authorities: []string{"/etc/ca.pem"},
		},
		"a limit": {global: "servers {\nmax_header_size 64KiB\n}", proxy: "reverse_proxy 127.0.0.1:1", passesHost: true, limit: 64 << 10},
		"a limit for others": {
			global: "servers :9 {\nmax_header_size 64KiB\n}", proxy: "reverse_proxy 127.0.0.1:1\n}\n:9 {\nrespond ok", passesHost: true,
		},
	} {
		fences, err := main.ConfiguredFences(file(t, "fence.conf", "{\n"+tc.global+"\n}\n:8081 {\ndagfence\n"+tc.proxy+"\n}"))
		if err != nil || len(fences) != 1 {
			t.Errorf("%s: %d fences, %v", name, len(fences), err)
			continue
		}
		got := fences[0]
		if got.UpstreamHost != tc.host || got.PassesHost != tc.passesHost || got.ForwardProxy != tc.forwarder ||
			got.MaxHeaderBytes != tc.limit || !slices.Equal(got.UpstreamCA, tc.authorities) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
