package report

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is how much memory a zstd frame may ask for.
const maxWindow = 64 << 20

// decompressed returns the plain text of a log that Caddy has compressed, by its
// first bytes, or of one that it has not.
func decompressed(log io.Reader) (io.ReadCloser, error) {
	reader := bufio.NewReader(log)
	start, _ := reader.Peek(4) // a shorter log is plain; an error comes back as it is read
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}): // RFC 1952, section 2.3.1
		plain, err := gzip.NewReader(reader)
		if err != nil {
			return nil, fmt.Errorf("decompressing gzip: %w", err)
		}
		return plain, nil
	case bytes.Equal(start, []byte{0x28, 0xb5, 0x2f, 0xfd}): // RFC 8878, section 3.1.1
		plain, err := zstd.NewReader(reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("decompressing zstd: %w", err)
		}
		return plain.IOReadCloser(), nil
	}
	return io.NopCloser(reader), nil
}
