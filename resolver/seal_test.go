package resolver_test

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
)

const sealedName = "variable:a_variable"

func newSealer(tb testing.TB, secret []byte) resolver.Sealer {
	tb.Helper()
	sealer, err := resolver.NewSealer(secret, "")
	if err != nil {
		tb.Fatal(err)
	}
	return sealer
}

func newSealerOf(tb testing.TB, deployment string) resolver.Sealer {
	tb.Helper()
	sealer, err := resolver.NewSealer(secret, deployment)
	if err != nil {
		tb.Fatal(err)
	}
	return sealer
}

func TestSeal_OpensOnlyWhatItSealed(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sealer, body := newSealer(t, secret), []byte("what is known")
	sealed := sealer.Seal(sealedName, now, body)
	changed := func(at int) []byte {
		copied := slices.Clone(sealed)
		copied[at] ^= 1
		return copied
	}
	for name, test := range map[string]struct {
		sealer resolver.Sealer
		name   string
		now    time.Time
		value  []byte
		ok     bool
	}{
		"as it was":             {sealer, sealedName, now, sealed, true},
		"by another process":    {newSealer(t, secret), sealedName, now, sealed, true},
		"an hour later":         {sealer, sealedName, now.Add(time.Hour), sealed, true},
		"a clock 2 s behind":    {sealer, sealedName, now.Add(-2 * time.Second), sealed, true},
		"from the future":       {sealer, sealedName, now.Add(-2*time.Second - 1), sealed, false},
		"another deployment":    {newSealerOf(t, "other"), sealedName, now, sealed, false},
		"another secret":        {newSealer(t, []byte("another")), sealedName, now, sealed, false},
		"under another name":    {sealer, "variable:another", now, sealed, false},
		"under a longer name":   {sealer, sealedName + "\x01", now, sealed, false},
		"another version":       {sealer, sealedName, now, changed(0), false},
		"another time":          {sealer, sealedName, now, changed(3), false},
		"another body":          {sealer, sealedName, now, changed(10), false},
		"another seal":          {sealer, sealedName, now, changed(len(sealed) - 1), false},
		"truncated":             {sealer, sealedName, now, sealed[:len(sealed)-1], false},
		"no more than a header": {sealer, sealedName, now, sealed[:9], false},
		"longer":                {sealer, sealedName, now, append(slices.Clone(sealed), 0), false},
		"nothing":               {sealer, sealedName, now, nil, false},
	} {
		opened, asOf, ok := test.sealer.Open(test.name, test.now, test.value)
		if ok != test.ok || ok && (!bytes.Equal(opened, body) || !asOf.Equal(now)) || !ok && opened != nil {
			t.Errorf("%s: it opens as %q, as of %v, %v: want %v", name, opened, asOf, ok, test.ok)
		}
	}
	// The name's length is sealed: none of it can pass for the value's start.
	moved := sealer.Seal("ab", now, nil)
	if _, _, ok := sealer.Open("a", now, append([]byte("b"), moved...)); ok {
		t.Error("a byte moved from the name to the value is not noticed")
	}
}

func TestAnswer_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, answer := range []resolver.Answer{
		{},
		{Outcome: resolver.NotFound},
		{Outcome: resolver.Found},
		{Outcome: resolver.Found, Team: "team_a"},
		{Outcome: resolver.Found, Team: "team_a", Grants: &resolver.Grants{Read: []string{"team_b", "*"}}},
		{Outcome: resolver.Found, Team: "team_a", Grants: &resolver.Grants{Trigger: []string{"team_b"}}},
		{Outcome: resolver.Found, Team: "team_a", Grants: &resolver.Grants{Read: []string{"é"}, Trigger: []string{"a", "b"}}},
		{Outcome: resolver.Found, Team: "t\x00é", Task: resolver.Task{DagID: "d", RunID: strings.Repeat("r", 250), TaskID: "t", MapIndex: -1}},
	} {
		body, ok := resolver.EncodeAnswer(answer)
		decoded, decodes := resolver.DecodeAnswer(body)
		if !ok || !decodes || !reflect.DeepEqual(decoded, answer) {
			t.Errorf("%+v comes back as %+v, %v, %v", answer, decoded, ok, decodes)
		}
		for n := range body {
			// Cut between fields it is a whole entry, which permits less.
			if cut, ok := resolver.DecodeAnswer(body[:n]); ok && (answer.Grants == nil || reflect.DeepEqual(cut, answer)) {
				t.Errorf("%+v decodes from its first %d bytes", answer, n)
			}
		}
		if _, ok := resolver.DecodeAnswer(append(slices.Clone(body), 0)); ok {
			t.Errorf("%+v decodes with a byte behind it", answer)
		}
		if _, ok := resolver.DecodeAnswer(append(slices.Clone(body), 7, 0, 2, 'x')); ok {
			t.Errorf("%+v decodes with half a field behind it", answer)
		}
		later := append(slices.Clone(body), 7, 0, 2, 'x', 'y', 8, 0, 0)
		if decoded, ok := resolver.DecodeAnswer(later); !ok || !reflect.DeepEqual(decoded, answer) {
			t.Errorf("%+v comes back as %+v, %v, where a later release has added fields", answer, decoded, ok)
		}
	}
	if _, ok := resolver.EncodeAnswer(resolver.Answer{Team: strings.Repeat("x", 1<<16)}); ok {
		t.Error("a team of 64 KiB is encoded")
	}
	crowd := &resolver.Grants{Read: []string{strings.Repeat("x", resolver.MaxGrantBytes-2)}}
	if _, ok := resolver.EncodeAnswer(resolver.Answer{Outcome: resolver.Found, Team: "a", Grants: crowd}); !ok {
		t.Errorf("grants of %d bytes are not encoded", crowd.Size())
	}
	crowd.Trigger = []string{"y"}
	if _, ok := resolver.EncodeAnswer(resolver.Answer{Outcome: resolver.Found, Team: "a", Grants: crowd}); ok {
		t.Errorf("grants of %d bytes are encoded", crowd.Size())
	}
	granted, _ := resolver.EncodeAnswer(resolver.Answer{Outcome: resolver.Found, Team: "a"})
	for _, broken := range [][]byte{{1, 0, 0}, {1, 0, 1, 'a'}, {2, 0, 3, 0, 5, 'a'}, {1, 0, 4, 0, 1, 'a', 0}} {
		if decoded, ok := resolver.DecodeAnswer(append(slices.Clone(granted), broken...)); ok {
			t.Errorf("grants of % x decode as %+v", broken, decoded.Grants)
		}
	}
	if _, ok := resolver.DecodeAnswer([]byte{4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); ok {
		t.Error("a fifth outcome decodes")
	}
}

func FuzzOpen(f *testing.F) {
	now := time.Now()
	sealer := newSealer(f, secret)
	_, whole := sealer.SealAnswer(ask(resolver.KindTask, task1), resolver.Answer{Outcome: resolver.Found, Team: "team_a", Task: ran, AsOf: now})
	message := sealer.SealMessage(now, resolver.Key{Kind: resolver.KindDag, Name: "dag_a"})
	for _, seed := range [][]byte{nil, {1}, whole, whole[:len(whole)-1], message, bytes.Repeat([]byte{0xff}, 64), []byte("*3\r\n$3\r\nSET\r\n")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if body, _, ok := sealer.Open("never sealed under this name", now, value); ok {
			t.Errorf("%x opens as %x", value, body)
		}
		if answer, ok := resolver.DecodeAnswer(value); ok {
			again, ok := resolver.EncodeAnswer(answer)
			same, decodes := resolver.DecodeAnswer(again)
			if ok && (!decodes || !reflect.DeepEqual(same, answer)) || !ok && answer.Grants == nil {
				t.Errorf("%x decodes as %+v, which encodes as %x", value, answer, again)
			}
		}
		if keys, ok := resolver.DecodeKeys(value); ok {
			for _, key := range keys {
				if _, known := resolver.ParseKind(key.Kind.String()); !known {
					t.Errorf("%x decodes to a key of no kind, %v", value, key)
				}
			}
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	now := time.Now()
	sealer := newSealer(b, secret)
	body := []byte("a team and a task's identity, a hundred bytes or so altogether, as most of the entries are, more or less")
	sealed := sealer.Seal(sealedName, now, body)
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sealer.Seal(sealedName, now, body)
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sealer.Open(sealedName, now, sealed)
		}
	})
	b.Run("open, forged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sealer.Open("variable:another", now, sealed)
		}
	})
}
