package resolver

import (
	"encoding/binary"
	"math"
)

// tombstone is the outcome in Redis of a key that was just invalidated: it is not
// filled until it lapses.
const tombstone = Unavailable

// encodeAnswer returns the body of a sealed entry: the outcome (1 byte), then the
// team, dag, run and task id, each after its length (2 bytes), and the map
// index (8 bytes). It returns false for a name that is too long. What no cache
// keeps is left out.
//
// Fields follow: a tag (1 byte), a length (2 bytes), a value. A reader skips those
// that it does not know, which later releases may add. So such a field may only
// permit more than the answer does without it; one that permits less needs another
// version of the seal.
func encodeAnswer(answer *Answer) ([]byte, bool) {
	body := []byte{byte(answer.Outcome)}
	task := &answer.Task
	for _, text := range [...]string{answer.Team, task.DagID, task.RunID, task.TaskID} {
		if len(text) > math.MaxUint16 {
			return nil, false
		}
		body = appendText(body, text)
	}
	body = binary.BigEndian.AppendUint64(body, uint64(task.MapIndex)) //nolint:gosec // the same bits, read back by decodeAnswer
	if grants := answer.Grants; grants != nil {
		if grants.Size() > MaxGrantBytes {
			return nil, false
		}
		body = appendTeams(body, tagRead, grants.Read)
		body = appendTeams(body, tagTrigger, grants.Trigger)
	}
	return body, true
}

// The tags of fields.
const (
	tagRead    = 1
	tagTrigger = 2
)

// appendTeams adds a field that lists teams, each after its length, unless there are
// none.
func appendTeams(body []byte, tag byte, teams []string) []byte {
	if len(teams) == 0 {
		return body
	}
	var value []byte
	for _, team := range teams {
		value = appendText(value, team)
	}
	return appendText(append(body, tag), string(value))
}

// decodeAnswer is the inverse of encodeAnswer. It takes nothing else.
func decodeAnswer(body []byte) (Answer, bool) {
	if len(body) == 0 || Outcome(body[0]) > Found {
		return Answer{}, false
	}
	answer := Answer{Outcome: Outcome(body[0])}
	task, body := &answer.Task, body[1:]
	for _, text := range [...]*string{&answer.Team, &task.DagID, &task.RunID, &task.TaskID} {
		var ok bool
		if *text, body, ok = cutText(body); !ok {
			return Answer{}, false
		}
	}
	if len(body) < 8 {
		return Answer{}, false
	}
	task.MapIndex = int(binary.BigEndian.Uint64(body)) //nolint:gosec // the same bits that encodeAnswer wrote
	ok := decodeFields(body[8:], &answer)
	return answer, ok
}

// decodeFields reads the rest of a body, which must be made of whole fields, known
// or not.
func decodeFields(rest []byte, answer *Answer) bool {
	var grants Grants
	for len(rest) > 0 {
		tag := rest[0]
		value, after, ok := cutText(rest[1:])
		if !ok {
			return false
		}
		rest = after
		switch tag {
		case tagRead:
			grants.Read, ok = decodeTeams([]byte(value))
		case tagTrigger:
			grants.Trigger, ok = decodeTeams([]byte(value))
		}
		if !ok {
			return false
		}
	}
	if len(grants.Read)+len(grants.Trigger) > 0 {
		answer.Grants = &grants
	}
	return true
}

func decodeTeams(value []byte) (teams []string, ok bool) {
	for len(value) > 0 {
		var team string
		if team, value, ok = cutText(value); !ok {
			return nil, false
		}
		teams = append(teams, team)
	}
	return teams, len(teams) > 0
}

// encodeKeys returns the body of a message: who sends it (8 bytes), then each
// key's kind (1 byte) and its name after its length.
func encodeKeys(sender uint64, keys []Key) []byte {
	body := binary.BigEndian.AppendUint64(nil, sender)
	for _, key := range keys {
		body = appendText(append(body, byte(key.Kind)), key.Name)
	}
	return body
}

// decodeKeys is the inverse of encodeKeys. Keys of kinds that are not known,
// which a later release may have, are left out.
func decodeKeys(body []byte) (sender uint64, keys []Key, ok bool) {
	if len(body) < 8 {
		return 0, nil, false
	}
	sender, body = binary.BigEndian.Uint64(body), body[8:]
	for len(body) > 0 {
		key := Key{Kind: Kind(body[0])}
		if key.Name, body, ok = cutText(body[1:]); !ok {
			return 0, nil, false
		}
		if key.known() {
			keys = append(keys, key)
		}
	}
	return sender, keys, true
}

func appendText(body []byte, text string) []byte {
	body = binary.BigEndian.AppendUint16(body, uint16(len(text))) //nolint:gosec // callers check the length
	return append(body, text...)
}

func cutText(body []byte) (text string, rest []byte, ok bool) {
	if len(body) < 2 {
		return "", nil, false
	}
	length := int(binary.BigEndian.Uint16(body))
	if body = body[2:]; len(body) < length {
		return "", nil, false
	}
	return string(body[:length]), body[length:], true
}
