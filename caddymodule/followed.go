package caddymodule

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/dagfence/dagfence/rotate"
)

// followed is what PEM files hold, made anew as soon as they hold something
// else. While they can't be used, as half-way through a rotation, the last good
// value stays. Make it with [follow]. Safe for concurrent use.
type followed[T any] struct {
	files  []string
	parse  func(contents [][]byte) (T, error)
	logger *zap.Logger

	mu       sync.Mutex
	contents [][]byte // of value
	value    T
	failure  string // that was logged last
}

// follow reads the files for the first time.
func follow[T any](logger *zap.Logger, parse func(contents [][]byte) (T, error), files ...string) (*followed[T], error) {
	f := &followed[T]{files: files, parse: parse, logger: logger}
	return f, f.read()
}

// current returns the value. The files are read for each call: what modification
// times say depends on the file system.
func (f *followed[T]) current() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	failure := ""
	if err := f.read(); err != nil {
		failure = err.Error()
	}
	if failure != "" && failure != f.failure {
		f.logger.Error("files that changed can't be used, what they held before stays in use",
			zap.Strings("files", f.files), zap.String("error", failure))
	}
	f.failure = failure
	return f.value
}

func (f *followed[T]) read() error {
	contents := make([][]byte, len(f.files))
	for i, file := range f.files {
		var err error
		if contents[i], err = rotate.ReadFile(file); err != nil {
			return err
		}
	}
	if f.contents != nil && slices.EqualFunc(contents, f.contents, bytes.Equal) {
		return nil
	}
	value, err := f.parse(contents)
	if err != nil {
		return fmt.Errorf("%s: %w", f.files[0], err)
	}
	if f.contents != nil {
		f.logger.Info("files have changed, what they hold is in use", zap.Strings("files", f.files))
	}
	f.value, f.contents = value, contents
	return nil
}
