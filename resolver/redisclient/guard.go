package redisclient

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// What a Redis may send at most. The longest that is asked for are a sealed
// entry and a cluster's 16,384 slots, five arrays deep.
const (
	maxReplyLine   = 8 << 10
	maxReplyHead   = 24 // of a line, more than its type and a number that is allowed
	maxReplyString = 1 << 20
	maxReplyArray  = 1 << 16
	maxReplyDepth  = 8
	maxReply       = 8 << 20
)

var errReply = errors.New("invalid or oversized reply from redis")

// guardDials makes go-redis read nothing that would take all memory or end the
// process. Its parser allocates what a length announces before any of it has
// come, panics on a length that no slice can have, and descends as deep as
// arrays nest (v9.23.0, internal/proto/reader.go).
func guardDials(options *redis.UniversalOptions) {
	dial := redis.NewDialer(&redis.Options{DialTimeout: options.DialTimeout, TLSConfig: options.TLSConfig})
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		guarded := &guardedConn{Conn: conn}
		if raw, ok := conn.(syscall.Conn); ok {
			return guardedSocket{guarded, raw}, nil
		}
		return guarded, nil
	}
}

// guardedConn checks what it reads.
type guardedConn struct {
	net.Conn

	replies replies
}

// guardedSocket is one that go-redis can look at for having been closed.
type guardedSocket struct {
	*guardedConn
	syscall.Conn
}

// Read implements net.Conn.
func (c *guardedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.replies.take(p[:n]) {
		return 0, errReply
	}
	return n, err
}

// replies follows the frames of RESP2, and of RESP3 but for attributes, which
// no server sends: a Sentinel is asked for that
// (https://redis.io/docs/latest/develop/reference/protocol-spec/).
type replies struct {
	// head is the line that is under way, as far as its number goes.
	head   []byte
	length int
	// left is what is still to come of a string, its line end included.
	left int
	// open holds what is still to come of each array around, and total is the
	// length of the whole reply up to here.
	open  []int
	total int
}

// take reports whether the bytes go on as replies do, within the limits.
func (r *replies) take(p []byte) bool {
	for len(p) > 0 {
		if r.left > 0 {
			n := min(r.left, len(p))
			p = p[n:]
			if r.left -= n; r.left == 0 {
				r.end()
			}
			continue
		}
		n := bytes.IndexByte(p, '\n') + 1
		ends := n > 0
		if !ends {
			n = len(p)
		}
		r.head = append(r.head, p[:min(n, maxReplyHead-len(r.head))]...)
		r.length += n
		p = p[n:]
		if r.length > maxReplyLine || ends && !r.line() {
			return false
		}
	}
	return true
}

// line reads the line that has ended.
func (r *replies) line() bool {
	head := bytes.TrimRight(r.head, "\r\n")
	if r.total += r.length; r.total > maxReply {
		return false
	}
	r.head, r.length = r.head[:0], 0
	if len(head) == 0 {
		return false
	}
	if strings.IndexByte("+-:_#,(", head[0]) >= 0 {
		r.end()
		return true
	}
	n, err := strconv.Atoi(string(head[1:]))
	if err != nil || n < -1 {
		return false
	}
	switch head[0] {
	case '$', '!', '=':
		return r.text(n)
	case '*', '~', '>':
		return r.array(n)
	case '%':
		return r.array(2 * min(n, maxReplyArray))
	}
	return false
}

// text begins a string of n bytes; of -1, a null.
func (r *replies) text(n int) bool {
	if n == -1 {
		r.end()
		return true
	}
	r.left = n + len("\r\n")
	r.total += r.left
	return n <= maxReplyString && r.total <= maxReply
}

// array begins an array of n replies; of -1, a null.
func (r *replies) array(n int) bool {
	if n <= 0 {
		r.end()
		return true
	}
	r.open = append(r.open, n)
	return n <= maxReplyArray && len(r.open) <= maxReplyDepth
}

// end counts a reply that is complete, and the arrays that are so with it.
func (r *replies) end() {
	for i := len(r.open) - 1; i >= 0; i-- {
		if r.open[i]--; r.open[i] > 0 {
			return
		}
		r.open = r.open[:i]
	}
	r.total = 0
}
