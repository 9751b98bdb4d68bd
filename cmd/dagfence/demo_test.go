package main_test

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	main "github.com/dagfence/dagfence/cmd/dagfence"
)

// These tests share the one Caddy that a process has, so none is parallel.

const anyPort = "127.0.0.1:0"

// ready is the last line of what the demo prints before it waits.
const ready = "Ctrl-C ends the demo and removes the database."

// temporary sets the demo's directory for its files, and checks when the test ends
// that nothing is left in it.
func temporary(t *testing.T) {
	t.Helper()
	// What a URL could be broken by.
	dir := filepath.Join(t.TempDir(), "a b%20{env.HOME}?c#d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
}

// run is the command as a shell calls it.
func run(args ...string) error {
	return main.Execute(append([]string{"demo"}, args...))
}

// stdout takes what is printed from now on, until the test ends.
func stdout(t *testing.T) *bufio.Scanner {
	t.Helper()
	before := os.Stdout
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = write
	t.Cleanup(func() {
		os.Stdout = before
		_ = write.Close()
		_ = read.Close()
	})
	return bufio.NewScanner(read)
}

func TestDemo_EndsCleanlyAtSIGTERM(t *testing.T) {
	temporary(t)
	output := stdout(t)
	done := make(chan error)
	go func() { done <- run("--listen", anyPort) }()
	for output.Scan() && output.Text() != ready {
		continue
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDemo_CheckChoosesAPort(t *testing.T) {
	temporary(t)
	output := stdout(t)
	done := make(chan error)
	go func() { done <- run("--check") }()
	for output.Scan() && !strings.HasSuffix(output.Text(), " 0 wrong") {
		continue
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDemo_SuggestsAnotherPort(t *testing.T) {
	temporary(t)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	err = run("--listen", listener.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "address already in use (set --listen to another address") {
		t.Errorf("error %v", err)
	}
}
