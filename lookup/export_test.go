package lookup

import (
	"database/sql"
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
	return u.postgresDSN(), u.password, u.checkOptions(postgresOptions)
}

// NewHandlerOf serves a stand-in for a directory.
func NewHandlerOf(d directory, token string) http.Handler {
	return newHandler(d, token, false, slog.New(slog.DiscardHandler))
}
