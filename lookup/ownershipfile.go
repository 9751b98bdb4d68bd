package lookup

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dagfence/dagfence/rotate"
)

// reloadEvery is how often the ownership file is read. Reading it whole sees
// what a watch of names or times may miss: a ConfigMap's symlinks swapped, two
// writes within one tick of the file system's clock.
const reloadEvery = time.Second

// ownershipFile is the operator's file, reloaded as it changes.
type ownershipFile struct {
	path         string
	withDatabase bool
	logger       *slog.Logger

	current atomic.Pointer[ownershipRules]
	err     atomic.Pointer[error]
	seen    []byte // what current or err was made from
	pending []byte // what was read last, not yet seen twice

	stop context.CancelFunc
	done sync.WaitGroup
}

// watchOwnership reads the file, which must be good, and follows it until
// close.
func watchOwnership(path string, withDatabase bool, logger *slog.Logger) (*ownershipFile, error) {
	data, err := rotate.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading: %w: must be the path of a readable YAML file", err)
	}
	parsed, err := parseOwners(data, withDatabase)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	o := &ownershipFile{path: path, withDatabase: withDatabase, logger: logger, seen: data, stop: stop}
	o.current.Store(parsed)
	o.done.Go(func() { o.follow(ctx) })
	return o, nil
}

func (o *ownershipFile) close() {
	o.stop()
	o.done.Wait()
}

func (o *ownershipFile) lastError() error {
	if err := o.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (o *ownershipFile) follow(ctx context.Context) {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			o.reload()
		}
	}
}

// reload takes new contents once they were read twice the same: half of a file
// that is written in place may well be good YAML that grants too much.
func (o *ownershipFile) reload() {
	data, err := rotate.ReadFile(o.path)
	switch {
	case err != nil:
		o.seen, o.pending = nil, nil
		o.refuse(err)
		return
	case o.seen != nil && bytes.Equal(data, o.seen):
		o.pending = nil
		return
	case o.pending == nil || !bytes.Equal(data, o.pending):
		o.pending = data
		return
	}
	o.seen, o.pending = data, nil
	parsed, err := parseOwners(data, o.withDatabase)
	if err != nil {
		o.refuse(fmt.Errorf("%s: %w", o.path, err))
		return
	}
	o.current.Store(parsed)
	o.err.Store(nil)
	o.logger.Info("ownership file reloaded", "path", o.path)
}

// refuse keeps the last good contents, and says so once for each cause.
func (o *ownershipFile) refuse(err error) {
	if last := o.lastError(); last != nil && last.Error() == err.Error() {
		return
	}
	o.err.Store(&err)
	o.logger.Error("ownership file not reloaded; its last valid contents stay in force", "error", err)
}
