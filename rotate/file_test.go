package rotate_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dagfence/dagfence/rotate"
)

func TestReadFile_TakesRegularFilesAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(file, []byte("content\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if content, err := rotate.ReadFile(path); err != nil || string(content) != "content\n" {
			t.Errorf("%s: %q, %v", path, content, err)
		}
	}
	for path, want := range map[string]string{pipe: "is not a regular file", dir: "is not a regular file", filepath.Join(dir, "none"): "no such file"} {
		if _, err := rotate.ReadFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
