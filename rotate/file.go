package rotate

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// ReadFile reads a file that the operator names. It must be a regular one, or a
// link to one: of a pipe that nobody writes to, the reading would never end, and
// what it held could be read once only.
func ReadFile(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the path is the operator's own setting
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // read only
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return io.ReadAll(file)
}
