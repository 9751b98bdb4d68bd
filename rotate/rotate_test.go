package rotate_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dagfence/dagfence/rotate"
	"github.com/dagfence/dagfence/tests/sidecar"
)

var errRefused = errors.New("refused")

// lock is a server that takes some keys, and remembers which were tried.
type lock struct{ takes, tried, retired []string }

func (l *lock) try(key string) error {
	l.tried = append(l.tried, key)
	if slices.Contains(l.takes, key) {
		return nil
	}
	return errRefused
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// keyFrom follows a file that holds a key, which starts with "key".
func keyFrom(t *testing.T, path string, l *lock, log *bytes.Buffer) *rotate.Value[string] {
	t.Helper()
	v, err := rotate.New(rotate.Source[string]{
		Name: "door", Text: rotate.Text(path), Files: func(text string) []string { return []string{text} },
		Make: func(text string) (string, error) {
			content, err := os.ReadFile(text)
			if err == nil && !strings.HasPrefix(string(content), "key") {
				err = errors.New("no key")
			}
			return string(content), err
		},
		Retire: func(key string) { l.retired = append(l.retired, key) },
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestValue_UsesTheNewestThenTheLastThatWorked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, "key 1")
	var log bytes.Buffer
	l := &lock{takes: []string{"key 1"}}
	v := keyFrom(t, path, l, &log)
	for _, step := range []struct {
		file, takes, tried string
		err                error
		retired            string
	}{
		{"key 1", "key 1", "key 1", nil, ""},
		{"key 2", "key 1", "key 2,key 1", nil, ""},      // the server comes later
		{"key 3", "key 1", "key 3,key 1", nil, "key 2"}, // never worked
		{"key 3", "key 1,key 3", "key 3", nil, "key 1"}, // the server takes both
		{"key 3", "key 4", "key 3", errRefused, ""},     // the file comes later
		{"half", "key 3", "key 3", nil, ""},             // makes no sense
		{"half", "key 3", "key 3", nil, ""},             //
		{"key 4", "key 4", "key 4", nil, "key 3"},       //
		{"key 5", "", "key 5,key 4", errRefused, ""},    // neither
		{"key 4", "key 4", "key 4", nil, "key 5,key 4"}, // and back
	} {
		write(t, path, step.file)
		time.Sleep(20 * time.Millisecond) // what works is not looked at all the time
		l.takes, l.tried, l.retired = strings.Split(step.takes, ","), nil, nil
		err := v.Use(l.try)
		if tried, retired := strings.Join(l.tried, ","), strings.Join(l.retired, ","); tried != step.tried || retired != step.retired || !errors.Is(err, step.err) {
			t.Errorf("with %q where %q is taken: tried %s, retired %s, %v; want %+v", step.file, step.takes, tried, retired, err, step)
		}
	}
	if failures := strings.Count(log.String(), "level=WARN"); failures != 1 || !strings.Contains(log.String(), `option=door error="no key"`) {
		t.Errorf("%d failures are logged, want the one:\n%s", failures, &log)
	}
	l.retired = nil
	v.Close()
	if got := strings.Join(l.retired, ","); got != "key 4" {
		t.Errorf("at the end %s is retired", got)
	}
}

func TestValue_InvalidAtStartIsAnError(t *testing.T) {
	t.Parallel()
	for _, source := range []rotate.Source[string]{
		{Text: func() (string, error) { return "", errRefused }, Make: func(text string) (string, error) { return text, nil }},
		{Text: rotate.Text("x"), Make: func(string) (string, error) { return "", errRefused }},
	} {
		if v, err := rotate.New(source); !errors.Is(err, errRefused) || v != nil {
			t.Errorf("got %v, %v", v, err)
		}
	}
}

// Files may be replaced by other links, and be read by many at once.
func TestValue_ManyFollowALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "old"), "key old")
	write(t, filepath.Join(dir, "new"), "key new")
	path := filepath.Join(dir, "key")
	if err := os.Symlink("old", path); err != nil {
		t.Fatal(err)
	}
	v := keyFrom(t, path, new(lock), new(bytes.Buffer))
	if got := v.Get(); got != "key old" {
		t.Errorf("got %q", got)
	}
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for range 200 {
				if got := v.Get(); got != "key old" && got != "key new" {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	if err := errors.Join(os.Symlink("new", path+"~"), os.Rename(path+"~", path)); err != nil {
		t.Fatal(err)
	}
	users.Wait()
	if got := v.Get(); got != "key new" {
		t.Errorf("got %q", got)
	}
}

// A source that hangs, as a file on a network may, keeps one use for a moment, and
// no other.
func TestSlowSource_IsNotWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var mu sync.Mutex
		text, takes := "old", time.Duration(0)
		set := func(newText string, newTakes time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			text, takes = newText, newTakes
		}
		v, err := rotate.New(rotate.Source[string]{
			Name: "door", Make: func(text string) (string, error) { return text, nil },
			Text: func() (string, error) {
				mu.Lock()
				text, takes := text, takes
				mu.Unlock()
				time.Sleep(takes)
				return text, nil
			},
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		gets := func(when, want string, atMost time.Duration) {
			t.Helper()
			began := time.Now()
			if got, took := v.Get(), time.Since(began); got != want || took > atMost {
				t.Errorf("%s: %q after %v, want %q within %v", when, got, took, want, atMost)
			}
		}
		set("new", time.Hour)
		gets("as it hangs", "old", rotate.Patience)
		for range 100 {
			gets("while it hangs", "old", 0)
		}
		time.Sleep(time.Hour)
		set("newer", time.Second)
		gets("once it does not, but is slow", "new", 0)
		time.Sleep(2 * time.Second)
		set("newest", 0)
		gets("after it was slow", "newer", 0)
		synctest.Wait()
		gets("when it is read in time", "newest", 0)
		if failures := strings.Count(log.String(), "level=WARN"); failures != 1 || !strings.Contains(log.String(), "option=door error=\"reading takes longer than") {
			t.Errorf("%d failures are logged, want the one:\n%s", failures, &log)
		}
	})
}

// What is read after the end is retired too.
func TestClose_RetiresWhatIsBeingMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		texts, retired := make(chan string, 1), make(chan string, 3)
		texts <- "old"
		v, err := rotate.New(rotate.Source[string]{
			Text: func() (string, error) { return <-texts, nil },
			Make: func(text string) (string, error) { return text, nil }, Retire: func(value string) { retired <- value },
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Get(); got != "old" {
			t.Errorf("got %q", got)
		}
		v.Close()
		texts <- "new"
		synctest.Wait()
		if first, second := <-retired, <-retired; first != "old" || second != "new" {
			t.Errorf("%q and %q are retired", first, second)
		}
	})
}

func TestPEM_SaysWhichFileIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, other := sidecar.NewCertificate(t, "good"), sidecar.NewCertificate(t, "other")
	none, garbage := filepath.Join(dir, "none"), filepath.Join(dir, "garbage")
	write(t, garbage, "garbage")
	for files, want := range map[[2]string]string{
		{good.Cert, good.Key}:  "",
		{good.Cert, other.Key}: other.Key + ": tls: private key does not match public key",
		{none, good.Key}:       "open " + none,
		{good.Cert, none}:      "open " + none,
		{good.Cert, garbage}:   "failed to find any PEM data",
	} {
		if _, err := rotate.KeyPair(files[0], files[1]); fmt.Sprint(err) != "<nil>" && want == "" || want != "" && !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v: %v, want %q", files, err, want)
		}
	}
	for file, want := range map[string]string{good.Cert: "<nil>", garbage: garbage + " holds no certificate", none: "no such file"} {
		if _, err := rotate.CertPool(file); !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v, want %s", file, err, want)
		}
	}
}

func BenchmarkUse(b *testing.B) {
	path := filepath.Join(b.TempDir(), "key")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 2000), 0o600); err != nil {
		b.Fatal(err)
	}
	for name, files := range map[string][]string{"no file": nil, "three files": {path, path, path}} {
		b.Run(name, func(b *testing.B) {
			v, err := rotate.New(rotate.Source[int]{
				Text: rotate.Text("text"), Files: func(string) []string { return files }, Make: func(string) (int, error) { return 1, nil },
			})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := v.Use(func(int) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
