package faults_test

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

// door leads to a server, and counts who comes through.
type door struct {
	addr   string
	opened atomic.Int64
}

func newDoor(t *testing.T, server string) *door {
	t.Helper()
	d := new(door)
	d.addr = services.Accept(t, func(conn net.Conn) {
		d.opened.Add(1)
		behind, err := new(net.Dialer).DialContext(t.Context(), "tcp", server)
		if err != nil {
			return
		}
		defer behind.Close()
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, behind)
		}()
		_, _ = io.Copy(behind, conn)
	})
	return d
}

// stub is an empty Redis that keeps nothing, until it is given other words.
type stub struct {
	url   string
	words atomic.Pointer[string]
}

func newStub(t *testing.T) *stub {
	t.Helper()
	s := new(stub)
	s.url = "redis://" + services.Accept(t, func(conn net.Conn) {
		for in := bufio.NewReader(conn); ; {
			name, err := readCommand(in)
			if err != nil {
				return
			}
			if _, err := io.WriteString(conn, s.answer(name)); err != nil {
				return
			}
		}
	})
	return s
}

func (s *stub) answer(command string) string {
	if words := s.words.Load(); words != nil && command != "hello" {
		return *words
	}
	switch command {
	case "hello":
		return "-ERR unknown command 'hello'\r\n" // as before Redis 6
	case "getrange":
		return "$0\r\n\r\n"
	case "subscribe":
		return "*3\r\n$9\r\nsubscribe\r\n$19\r\ndagfence:invalidate\r\n:1\r\n"
	case "publish":
		return ":0\r\n"
	}
	return "+OK\r\n"
}

// readCommand reads an array of strings, and returns the first in lower case.
func readCommand(in *bufio.Reader) (name string, err error) {
	number := func() int {
		line, readErr := in.ReadString('\n')
		if readErr != nil {
			err = readErr
			return 0
		}
		n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
		return n
	}
	for i := range number() {
		word := make([]byte, number()+2)
		if _, readErr := io.ReadFull(in, word); readErr != nil {
			return "", readErr
		}
		if i == 0 {
			name = strings.ToLower(strings.TrimSpace(string(word)))
		}
	}
	return name, err
}
