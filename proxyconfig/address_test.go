package proxyconfig_test

import (
	"strings"
	"testing"

	"github.com/dagfence/dagfence/proxyconfig"
)

func TestListen_IsHostAndPort(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		":8081", "127.0.0.1:0", "localhost:8081", "fence_1.example:80", "[::]:8081", "[::1]:8081", "[2001:db8::1]:65535", "[fe80::1%eth0]:8081",
	} {
		if err := proxyconfig.CheckListen("--listen", address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for address, want := range map[string]string{
		"::1:8081": "needs brackets", ":::8081": "needs brackets", "2001:db8::1": "needs brackets", "[::1]": "needs brackets", "::1]:80": "needs brackets",
		"": "must be host:port", "8081": "must be host:port", "127.0.0.1": "must be host:port", ":http": "must be host:port", ":65536": "must be host:port",
		":-1": "must be host:port", ":8081-8083": "must be host:port", "[foo]:80": "must be host:port", "unix//run/x.sock": "must be host:port",
		"tcp/127.0.0.1:80": "must be host:port", "{env.HOST}:80": "must be host:port",
	} {
		err := proxyconfig.CheckListen("--status", address)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--status") {
			t.Errorf("%q: %v, want %q", address, err, want)
		}
	}
}

func TestUpstream_IsAServer(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][2]string{
		"http://127.0.0.1:8080":    {"127.0.0.1:8080", "127.0.0.1:8080"},
		"http://airflow/":          {"airflow:80", "airflow"},
		"https://airflow.example":  {"airflow.example:443", "airflow.example"},
		"https://airflow:80":       {"airflow:80", "airflow:80"},
		"http://airflow_1:80":      {"airflow_1:80", "airflow_1"},
		"http://[::1]:8080":        {"[::1]:8080", "[::1]:8080"},
		"https://[::1]":            {"[::1]:443", "[::1]"},
		"http://[fe80::1%25eth0]:": {"", ""},
		"http://[fe80::1%25e0]:80": {"[fe80::1%e0]:80", "[fe80::1]"},
	} {
		u, err := proxyconfig.ParseUpstream(raw)
		if want[0] == "" {
			if err == nil {
				t.Errorf("%s is taken", raw)
			}
			continue
		}
		if err != nil || u.Host != want[0] || proxyconfig.HostOf(u) != want[1] {
			t.Errorf("%s: %v, %v, want %q", raw, u, err, want)
		}
	}
	for _, raw := range []string{
		"", "airflow:8080", "http://::1:8080", "http://[::1", "http://::1", "http://u:hidden@x", "ftp://x", "http://x/execution", "http://x?a", "http://x#a",
		"http://", "http://:80", "http://x:y", "http://x:123456", "http://a b",
	} {
		_, err := proxyconfig.ParseUpstream(raw)
		if err == nil || !strings.Contains(err.Error(), "--upstream") || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v, want an error that names the option", raw, err)
		}
	}
}

func TestUpstream_IPv6NeedsBrackets(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"http://::1:8080", "http://::1", "https://2001:db8::7:8443/", "http://fe80::1%25eth0:80", "http://1:2:3:4:5:6:7:8:80", "::1:8080"} {
		if _, err := proxyconfig.ParseUpstream(raw); err == nil || !strings.Contains(err.Error(), "--upstream: an IPv6 address needs brackets: write http://[::1]:8080") {
			t.Errorf("%q: %v, want that brackets are missing", raw, err)
		}
	}
	for _, raw := range []string{"http://a:b:c", "http://x:y", "http://u:p:q@x"} {
		if _, err := proxyconfig.ParseUpstream(raw); err == nil || strings.Contains(err.Error(), "needs brackets") {
			t.Errorf("%q: %v, want no word of IPv6", raw, err)
		}
	}
}

func TestProxy_ListensAndShowsItsStatusOnTwoAddresses(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{":8081", ":8083"}: false, {"127.0.0.1:8081", "127.0.0.2:8081"}: false, {"127.0.0.1:0", "localhost:0"}: false,
		{":8081", "127.0.0.1:8081"}: true, {"[::]:8081", "10.0.0.1:8081"}: true, {"0.0.0.0:8081", ":8081"}: true, {"127.0.0.1:0", "127.0.0.1:0"}: true,
	} {
		if got := proxyconfig.Overlap(pair[0], pair[1]); got != want {
			t.Errorf("%v: %v, want %v", pair, got, want)
		}
	}
}
