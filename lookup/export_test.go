package lookup

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
)

// SessionDB gives the pool, to prove what its sessions can't do.
func SessionDB(d *Directory) *sql.DB { return d.metadata.db }

// PostgresDSN translates a URL for pgx, and gives the password apart.
func PostgresDSN(raw string) (dsn, password string, err error) {
	u, err := parseDatabaseURL(raw)
	if err != nil {
		return "", "", err
	}
	dsn, err = u.postgresDSN()
	return dsn, u.password, errors.Join(err, u.checkOptions(postgresOptions))
}

// NewHandlerOf serves a stand-in for a directory.
func NewHandlerOf(d directory, token string) http.Handler {
	return newHandler(d, func() []string { return []string{token} }, false, newMetrics(), slog.New(slog.DiscardHandler))
}

// NewLoggedHandlerOf serves a stand-in for a directory, and logs.
func NewLoggedHandlerOf(d directory, logger *slog.Logger) http.Handler {
	return newHandler(d, nil, false, newMetrics(), logger)
}

// Watch is the watch, a look at a time.
type Watch struct{ *watch }

func NewWatch(d *Directory, logger *slog.Logger, forget Forget) Watch {
	return Watch{newWatch(d, logger, forget)}
}

func (w Watch) Look(ctx context.Context) (usual bool) { return w.look(ctx) }

// Known is how many owners it remembers.
func (w Watch) Known() int { return len(w.seen) }
