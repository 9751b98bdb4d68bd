package startup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/procfs"
)

// socket is where a server is going to listen.
type socket struct{ network, address string }

// socketsOf are a server's, as caddyhttp.App.Start makes them. Those that another
// process hands over (fd/3), those of plugins, and those on a port that the
// system chooses are not among them.
func socketsOf(app *caddyhttp.App, server *caddyhttp.Server) []socket {
	var sockets []socket
	for i, listen := range server.Listen {
		protocols := server.Protocols
		if server.ListenProtocols != nil && server.ListenProtocols[i] != nil {
			protocols = server.ListenProtocols[i]
		}
		for _, at := range addresses(listen) {
			useTLS := len(server.TLSConnPolicies) > 0 && !isHTTPPort(app, at.StartPort)
			stream := slices.Contains(protocols, "h1") || slices.Contains(protocols, "h2c") ||
				slices.Contains(protocols, "h2") && useTLS
			if stream {
				sockets = append(sockets, socket{at.Network, socketAddress(at)})
			}
			if slices.Contains(protocols, "h3") && useTLS && !at.IsUnixNetwork() {
				sockets = append(sockets, socket{strings.Replace(at.Network, "tcp", "udp", 1), socketAddress(at)})
			}
		}
	}
	return sockets
}

func isHTTPPort(app *caddyhttp.App, port uint) bool {
	if app.HTTPPort == 0 {
		return port == caddyhttp.DefaultHTTPPort
	}
	return port == uint(app.HTTPPort)
}

// portsOf name what all servers of an app listen on: each port once, whatever
// the address before it, and each unix socket; in order.
func portsOf(app *caddyhttp.App) []string {
	var ports []string
	for _, server := range app.Servers {
		for _, listen := range server.Listen {
			for _, at := range addresses(listen) {
				if at.IsUnixNetwork() {
					ports = append(ports, "socket "+socketAddress(at))
				} else {
					ports = append(ports, fmt.Sprintf("port %d", at.StartPort))
				}
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// addresses are those of a listener address of Caddy's, each with one port. One
// that makes no sense has none here; Caddy refuses it.
func addresses(listen string) []caddy.NetworkAddress {
	listen, err := caddy.NewReplacer().ReplaceOrErr(listen, true, true)
	if err != nil {
		return nil
	}
	parsed, err := caddy.ParseNetworkAddress(listen)
	if err != nil {
		return nil
	}
	known := []string{"tcp", "tcp4", "tcp6", "unix", "unixpacket"}
	return slices.DeleteFunc(parsed.Expand(), func(at caddy.NetworkAddress) bool {
		return !slices.Contains(known, at.Network) || at.StartPort == 0 && !at.IsUnixNetwork()
	})
}

// socketAddress is what net.Listen takes: without the mode of a unix socket's file.
func socketAddress(at caddy.NetworkAddress) string {
	address := at.JoinHostPort(0)
	if at.IsUnixNetwork() {
		address, _, _ = strings.Cut(address, "|")
	}
	return address
}

// look returns an error where another process listens on the socket's address,
// or on one that overlaps it.
func (s socket) look(ctx context.Context) error {
	if caddy.ListenerUsage(s.network, s.address) > 0 {
		return nil // this process has it, and a reload keeps it
	}
	taken, err := s.taken(ctx)
	if err == nil && taken {
		err = errors.New("another process listens there")
	}
	if err != nil {
		return fmt.Errorf("listening on %s/%s: %w: end that process, or listen on another address", s.network, s.address, err)
	}
	return nil
}

// taken tries the address without SO_REUSEPORT. Where that can't tell, because
// this process itself has an address that overlaps, or may not have the port
// without a capability that Caddy raises, the kernel's list does.
func (s socket) taken(ctx context.Context) (bool, error) {
	if strings.HasPrefix(s.network, "unix") {
		return s.answers(ctx)
	}
	err := s.try(ctx)
	if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
		return false, nil // free, or an error that Caddy reports as it listens
	}
	others, listErr := s.ofOthers()
	if listErr != nil {
		return errors.Is(err, syscall.EADDRINUSE), nil //nolint:nilerr // there is no list but on Linux
	}
	return others, nil
}

func (s socket) try(ctx context.Context) error {
	var tried io.Closer
	var err error
	if strings.HasPrefix(s.network, "udp") {
		tried, err = new(net.ListenConfig).ListenPacket(ctx, s.network, s.address)
	} else {
		tried, err = new(net.ListenConfig).Listen(ctx, s.network, s.address)
	}
	if err != nil {
		return err
	}
	return tried.Close()
}

// answers reports whether another process listens on a unix socket. Caddy would
// take the file away from it.
func (s socket) answers(ctx context.Context) (bool, error) {
	conn, err := new(net.Dialer).DialContext(ctx, s.network, s.address)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return false, nil // no file, or one that a process has left behind
	}
	if err != nil {
		return false, err
	}
	if err := conn.Close(); err != nil {
		return false, err
	}
	proc, own, err := ownSockets()
	if err != nil {
		return true, nil //nolint:nilerr // there is no list but on Linux
	}
	list, err := proc.NetUNIX()
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(list.Rows, func(row *procfs.NetUNIXLine) bool {
		return row.Path == s.address && own[row.Inode]
	}), nil
}

// ofOthers reports whether a socket of another process is bound to an address
// that overlaps.
func (s socket) ofOthers() (bool, error) {
	proc, own, err := ownSockets()
	if err != nil {
		return false, err
	}
	wanted, err := net.ResolveTCPAddr("tcp", s.address) // a UDP address looks the same
	if err != nil {
		return false, err
	}
	//nolint:staticcheck // netlink, which procfs advises, is made for many sockets often: this is one port, in a conflict
	lists, listening := []func() (procfs.NetTCP, error){proc.NetTCP, proc.NetTCP6}, uint64(0x0A) // TCP_LISTEN
	if strings.HasPrefix(s.network, "udp") {
		lists, listening = []func() (procfs.NetTCP, error){
			func() (procfs.NetTCP, error) { list, err := proc.NetUDP(); return procfs.NetTCP(list), err },
			func() (procfs.NetTCP, error) { list, err := proc.NetUDP6(); return procfs.NetTCP(list), err },
		}, 0x07 // TCP_CLOSE, which is a UDP socket that is not connected
	}
	for _, read := range lists {
		list, err := read()
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // there may be no IPv6
			return false, err
		}
		for _, line := range list {
			overlaps := len(wanted.IP) == 0 || wanted.IP.IsUnspecified() || line.LocalAddr.IsUnspecified() || wanted.IP.Equal(line.LocalAddr)
			if line.St == listening && line.LocalPort == uint64(wanted.Port) && overlaps && !own[line.Inode] { //nolint:gosec // a port
				return true, nil
			}
		}
	}
	return false, nil
}

// ownSockets are the inodes of this process's sockets, beside the file system that
// lists everybody's: Linux alone has it.
func ownSockets() (procfs.FS, map[uint64]bool, error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return proc, nil, err
	}
	self, err := proc.Self()
	if err != nil {
		return proc, nil, err
	}
	targets, err := self.FileDescriptorTargets()
	own := make(map[uint64]bool, len(targets))
	for _, target := range targets {
		inode, is := strings.CutPrefix(strings.TrimSuffix(target, "]"), "socket:[")
		if number, err := strconv.ParseUint(inode, 10, 64); is && err == nil {
			own[number] = true
		}
	}
	return proc, own, err
}
