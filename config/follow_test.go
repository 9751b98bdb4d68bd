package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/config"
)

func TestFollow_ReplacesPlaceholdersAgain(t *testing.T) {
	t.Parallel()
	secret := "first"
	c := config.Config{Database: "postgresql://u:{file}@db/a", Redis: "redis://cache"}
	c.Lookup.Token = "{file}"
	if err := c.Replace(func(_, value string) (string, error) {
		if secret == "" {
			return "", errors.New("hidden")
		}
		return strings.ReplaceAll(value, "{file}", secret), nil
	}); err != nil {
		t.Fatal(err)
	}
	whole := c.WithDefaults()
	for option, want := range map[string][3]string{
		"database":     {"postgresql://u:{file}@db/a", "postgresql://u:first@db/a", "postgresql://u:second@db/a"},
		"lookup token": {"{file}", "first", "second"},
		"redis":        {"", "redis://cache", "redis://cache"},
	} {
		secret = "first"
		now := whole.Follow(option)
		before, err := now()
		secret = "second"
		after, errAfter := now()
		if got := [3]string{whole.Template(option), before, after}; got != want || err != nil || errAfter != nil {
			t.Errorf("%s: %q, %v, %v; want %q", option, got, err, errAfter, want)
		}
	}
	secret = ""
	if got, err := whole.Follow("database")(); err == nil || got != "" || !strings.HasPrefix(err.Error(), "database: unknown or empty placeholder") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("without the file: %q, %v", got, err)
	}
}
