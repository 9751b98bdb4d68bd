package proxyconfig

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// CheckListen returns what is wrong with an address to listen on, host:port. The error
// does not repeat it, since it may be a URL with a password.
func CheckListen(flag, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil && strings.Count(address, ":") > 1 && !strings.ContainsAny(address, "/@") {
		return fmt.Errorf("invalid %s: an IPv6 address needs brackets, and a port behind them: write it as [::1]:8081 or [::]:8081", flag)
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && strings.ContainsAny(host, "/{}@") {
		err = errors.New("not a host")
	}
	if err == nil && strings.HasPrefix(address, "[") {
		_, err = netip.ParseAddr(host)
	}
	if err != nil {
		return fmt.Errorf("invalid %s: must be host:port or :port with a port from 0 to 65535, such as 127.0.0.1:8081, :8081 or [::1]:8081", flag)
	}
	return nil
}

// ParseUpstream parses a URL that names a server and no path, because requests go
// there with their own.
func ParseUpstream(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("--upstream is missing: set it to the URL of Airflow's api-server, such as http://127.0.0.1:8080")
	}
	if HasBareIPv6(raw) {
		return nil, errors.New("--upstream: an IPv6 address needs brackets: write http://[::1]:8080")
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" || !isHostPort(u.Host) {
		return nil, errors.New("--upstream is not the URL of a server: must be scheme and host:port alone, such as http://127.0.0.1:8080 or http://[::1]:8080")
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return u, nil
}

// hostPort is a host, an IPv6 address in brackets, with a port or without.
var hostPort = regexp.MustCompile(`^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?\])(?::([0-9]{1,5}))?$`)

// isHostPort reports whether text is a host, with a port from 1 to 65535 or
// without.
func isHostPort(text string) bool {
	found := hostPort.FindStringSubmatch(text)
	if found == nil {
		return false
	}
	port, err := strconv.ParseUint(found[1], 10, 16)
	return found[1] == "" || err == nil && port > 0
}

// distinct returns another form of an address that equals other and has port 0: the
// system chooses a port for each, but Caddy refuses the same text twice. Names and
// unspecified addresses have no other form.
func distinct(address, other string) string {
	host, port, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	switch {
	case address != other || port != "0" || err != nil || ip.IsUnspecified():
		return address
	case ip.Is4():
		return "tcp4/" + address
	}
	return "tcp6/" + address
}

// overlap reports whether a connection to one address may reach a listener on the
// other: the same port, and the same host or all hosts. Two ports 0 are different,
// but Caddy refuses the same address twice.
func overlap(one, other string) bool {
	host, port, _ := net.SplitHostPort(one)
	otherHost, otherPort, _ := net.SplitHostPort(other)
	if port != otherPort {
		return false
	}
	if port == "0" {
		return host == otherHost
	}
	all := func(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }
	return host == otherHost || all(host) || all(otherHost)
}

// HostOf returns the Host header for a server, as HTTP clients send it: without the
// scheme's default port.
func HostOf(upstream *url.URL) string {
	host := upstream.Hostname()
	if strings.Contains(host, ":") {
		host, _, _ = strings.Cut(host, "%") // a zone is this machine's own
		host = "[" + host + "]"
	}
	if port := upstream.Port(); port != map[string]string{"http": "80", "https": "443"}[upstream.Scheme] {
		host += ":" + port
	}
	return host
}

// HasBareIPv6 reports whether one of the hosts in an address, or in a URL, is an IPv6
// address without brackets, in which nothing tells a port from the last group. raw
// need not be well-formed.
func HasBareIPv6(raw string) bool {
	if _, behind, ok := strings.Cut(raw, "://"); ok {
		raw = behind
	}
	if end := strings.IndexAny(raw, "/?#"); end >= 0 {
		raw = raw[:end]
	}
	raw = raw[strings.LastIndexByte(raw, '@')+1:]
	return slices.ContainsFunc(strings.Split(raw, ","), func(host string) bool {
		if strings.Count(host, ":") < 2 {
			return false
		}
		_, whole := netip.ParseAddr(host)
		_, beforePort := netip.ParseAddr(host[:strings.LastIndexByte(host, ':')])
		return whole == nil || beforePort == nil
	})
}
