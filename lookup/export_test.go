package lookup

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dagfence/dagfence/resolver"
)

// SessionDB returns the pool, to prove what its sessions can't do.
func SessionDB(d *Directory) *sql.DB { return d.metadata.db }

// At returns the options with another clock.
func (o Options) At(now func() time.Time) Options {
	o.now = now
	return o
}

// NewHandlerOf serves a stand-in for a directory.
func NewHandlerOf(d directory, token string) http.Handler {
	return newHandler(d, func() []string { return []string{token} }, false, newMetrics(d), slog.New(slog.DiscardHandler))
}

// NewLoggedHandlerOf serves a stand-in for a directory, and logs.
func NewLoggedHandlerOf(d directory, logger *slog.Logger) http.Handler {
	return newHandler(d, nil, false, newMetrics(d), logger)
}

// MetricNames returns the names of the service's own metrics, sorted.
func MetricNames() (names []string) {
	described := make(chan *prometheus.Desc)
	go func() {
		newMetrics(new(Directory)).registry.Describe(described)
		close(described)
	}()
	for description := range described {
		if _, after, own := strings.Cut(description.String(), `fqName: "dagfence_`); own {
			name, _, _ := strings.Cut(after, `"`)
			names = append(names, "dagfence_"+name)
		}
	}
	slices.Sort(names)
	return names
}

// Watch is the watch, a look at a time.
type Watch struct{ *watch }

func NewWatch(d *Directory, logger *slog.Logger, forget Forget) Watch {
	return Watch{newWatch(d, logger, forget)}
}

func (w Watch) Look(ctx context.Context) (usual bool) { return w.look(ctx) }

// Known is how many owners it remembers.
func (w Watch) Known() int { return len(w.seen) }

// AssetQueries are the queries for assets, with a name in the place of each
// parameter.
func AssetQueries(name string) map[resolver.Kind]string {
	found := make(map[resolver.Kind]string)
	for kind, text := range schemas[0].queries {
		if kind.IsAsset() {
			found[kind] = strings.ReplaceAll(text, "?", "'"+name+"'")
		}
	}
	return found
}
