package resolver

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"
	"time"
)

const (
	sealVersion = 2
	// sealHeader is the version and the time of the answer.
	sealHeader = 1 + 8
	// maxSkew is how far ahead of ours the clock of another sidecar may be.
	maxSkew = 2 * time.Second
	// maxSealed is the longest sealed value that is opened.
	maxSealed = 4 << 10
	// maxMessage is the longest sealed message that is opened.
	maxMessage = 64 << 10
)

// sealer authenticates what is kept where others may write: a value opens only
// if it was sealed with the same secret, for the same deployment, under the same
// name. The layout is
//
//	version (1 byte) | as of (Unix nanoseconds, 8 bytes) | body | HMAC-SHA256 (32 bytes)
//
// with the length of the name, the name and everything before the HMAC under
// it. The key of the HMAC is derived from the secret with HKDF (RFC 5869), so
// that it is no other use's key, nor that of another deployment which has the
// same secret.
type sealer struct {
	macs sync.Pool
}

func newSealer(secret []byte, deployment string) (*sealer, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "dagfence sealed cache entry, version 2, deployment "+deployment, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of the cache: %w", err)
	}
	return &sealer{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}, nil
}

// seal returns the sealed body.
func (s *sealer) seal(name string, asOf time.Time, body []byte) []byte {
	sealed := make([]byte, 0, sealHeader+len(body)+sha256.Size)
	sealed = append(sealed, sealVersion)
	sealed = binary.BigEndian.AppendUint64(sealed, uint64(asOf.UnixNano()))
	sealed = append(sealed, body...)
	return s.sum(sealed, name, sealed)
}

// open returns the body and the time of its answer, if the value was sealed under
// the name and is not from the future. How old it may be is the caller's to
// judge.
func (s *sealer) open(name string, now time.Time, value []byte) (body []byte, asOf time.Time, ok bool) {
	if len(value) < sealHeader+sha256.Size || value[0] != sealVersion {
		return nil, time.Time{}, false
	}
	sealed, mac := value[:len(value)-sha256.Size], value[len(value)-sha256.Size:]
	var want [sha256.Size]byte
	if !hmac.Equal(mac, s.sum(want[:0], name, sealed)) {
		return nil, time.Time{}, false
	}
	asOf = time.Unix(0, int64(binary.BigEndian.Uint64(sealed[1:]))) //nolint:gosec // the same bits that seal wrote
	if asOf.After(now.Add(maxSkew)) {
		return nil, time.Time{}, false
	}
	return sealed[sealHeader:], asOf, true
}

// sum appends the HMAC of a name and what is sealed under it.
func (s *sealer) sum(dst []byte, name string, sealed []byte) []byte {
	mac := s.macs.Get().(hash.Hash) //nolint:forcetypeassert // the pool makes nothing else
	defer s.macs.Put(mac)
	mac.Reset()
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(name)))
	mac.Write(length[:])
	mac.Write([]byte(name))
	mac.Write(sealed)
	return mac.Sum(dst)
}
