package sqlalchemy

import (
	"errors"
)

// PostgresDSN translates a URL for pgx, and returns the password separately.
func PostgresDSN(raw string) (dsn, password string, err error) {
	u, err := Parse(raw)
	if err != nil {
		return "", "", err
	}
	settings, err := u.postgresSettings()
	return keywords(settings), u.password, errors.Join(err, u.checkOptions(postgresOptions))
}
