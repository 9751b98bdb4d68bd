package scale_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"

	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	// denyHeader marks a request that is not to reach upstream.
	denyHeader = "X-To-Be-Denied"
	// soakWorkers send soakRate requests a second each, at most.
	soakWorkers, soakRate = 4, 20
	bigBody               = 8 * mib
)

// answerFrom is what upstream answers: a big body for the XCom "big".
func answerFrom(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/big") {
		_, _ = w.Write(make([]byte, bigBody))
		return
	}
	_, _ = io.WriteString(w, `{"from":"upstream"}`)
}

// tokenFor is taskA's token, good for longer than the soak.
func tokenFor(t *testing.T, length time.Duration) string {
	t.Helper()
	return sidecar.Token(t, secret, taskA, func(claims jwt.MapClaims) { claims["exp"] = time.Now().Add(length + time.Hour).Unix() })
}

// soakRequests are the mix: what is sent, and how it is answered with nothing
// wrong. {n} is a number.
var soakRequests = []struct {
	name, request string
	want          int
}{
	{"read", "GET /variables/a_{n}", 200},
	{"read", "GET /connections/conn_a", 200},
	{"read of another team's", "GET /variables/b_{n}", 403},
	{"read of another team's", "GET /connections/conn_b", 403},
	{"read of what is not there", "GET /variables/none_{n}", 200}, // upstream's to answer
	{"write", "PUT /variables/a_{n}", 200},
	{"write of another team's", "PUT /variables/b_{n}", 403},
	{"own xcom", "POST /xcoms/dag_a/r/t1/key", 200},
	{"another task's xcom", "POST /xcoms/dag_a/r/t2/key", 403},
	{"another team's xcom", "GET /xcoms/dag_b/r/t1/key", 403},
	{"heartbeat", "PUT /task-instances/" + taskA + "/heartbeat", 200},
	{"unlisted", "GET /no/such/path", 404},
	{"bad token", "GET /variables/a_1", 403},
	{"no token", "GET /variables/a_1", 401},
}

// ask sends the mix at a bounded rate.
func (s *soak) ask(t *testing.T, done <-chan struct{}, worker int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, uint64(worker)))
	pace := time.NewTicker(time.Second / soakRate)
	defer pace.Stop()
	for {
		of := &soakRequests[random.IntN(len(soakRequests))]
		method, path, _ := strings.Cut(strings.ReplaceAll(of.request, "{n}", fmt.Sprint(random.IntN(1000))), " ")
		var body io.Reader
		if method == http.MethodPut || method == http.MethodPost {
			body = strings.NewReader(`{"value":"v"}`)
		}
		r := s.request(t, s.fence, method, path, body, of.want)
		switch of.name {
		case "bad token":
			r.Header.Set("Authorization", "Bearer "+s.token[:len(s.token)-4]+"AAAA")
		case "no token":
			r.Header.Del("Authorization")
		}
		s.send(t, of.name, r, of.want)
		select {
		case <-done:
			return
		case <-pace.C:
		}
	}
}

// request makes one, marked where it is not to reach upstream.
func (s *soak) request(t *testing.T, fence process, method, path string, body io.Reader, want int) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+fence.Addr+"/execution"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	if want != http.StatusOK {
		r.Header.Set(denyHeader, "yes")
	}
	return r
}

// send sends a request and reads the answer.
func (s *soak) send(t *testing.T, name string, r *http.Request, want int) (read int64) {
	t.Helper()
	answered, err := s.client.Do(r)
	if err != nil {
		s.count(t, name, 0, want, err.Error())
		return 0
	}
	defer answered.Body.Close()
	start := new(bytes.Buffer)
	read, err = io.Copy(io.Discard, io.TeeReader(io.LimitReader(answered.Body, 500), start))
	if err == nil {
		var rest int64
		rest, err = io.Copy(io.Discard, answered.Body)
		read += rest
	}
	s.count(t, name, answered.StatusCode, want, fmt.Sprint(start, err))
	return read
}

// bigBodies sends and reads an XCom of some size, now and then.
func (s *soak) bigBodies(t *testing.T, done <-chan struct{}) {
	t.Helper()
	for pause(done, 2*time.Second) {
		s.send(t, "big write", s.request(t, s.fence, http.MethodPost, "/xcoms/dag_a/r/t1/big", bytes.NewReader(make([]byte, bigBody)), 200), 200)
		if n := s.send(t, "big read", s.request(t, s.fence, http.MethodGet, "/xcoms/dag_a/r/t1/big", nil, 200), 200); n != bigBody {
			t.Errorf("%d bytes of a big body have arrived", n)
		}
	}
}

// slowClients write a variable a byte at a time, so that the write is judged
// again at its end; others open a connection, begin a request, and go.
func (s *soak) slowClients(t *testing.T, done <-chan struct{}) {
	t.Helper()
	const body = `{"value":"slow"}`
	for pause(done, 300*ms) {
		var all sync.WaitGroup
		for _, of := range []struct {
			name string
			want int
		}{{"a_1", 200}, {"b_1", 403}} {
			all.Go(func() {
				s.send(t, "slow write of "+of.name, s.request(t, s.fence, http.MethodPut, "/variables/"+of.name, &drip{left: body}, of.want), of.want)
			})
		}
		all.Go(func() { s.giveUp(t) })
		all.Wait()
	}
}

// drip sends a byte at a time.
type drip struct{ left string }

// Read implements io.Reader.
func (d *drip) Read(p []byte) (int, error) {
	if d.left == "" {
		return 0, io.EOF
	}
	time.Sleep(100 * ms)
	n := copy(p[:1], d.left)
	d.left = d.left[n:]
	return n, nil
}

func (s *soak) giveUp(t *testing.T) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.fence.Addr)
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.WriteString(conn, "PUT /execution/variables/a_1 HTTP/1.1\r\nHost: fence\r\nAuthorization: Bearer "+s.token+
		"\r\nContent-Length: 1000\r\n\r\n{")
	time.Sleep(200 * ms)
	_ = conn.Close()
}

// gaps sends bursts of writes with pauses around the time after which upstream,
// and after which the fence, closes a connection that is idle. A write is not
// repeated, so one that is sent into the close would be a 502.
func (s *soak) gaps(t *testing.T, done <-chan struct{}) {
	t.Helper()
	random := rand.New(rand.NewPCG(2, 0))
	for i := 0; ; i++ {
		around := []time.Duration{5 * time.Second, 3 * time.Second}[i%2]
		if !pause(done, around-100*ms+time.Duration(random.Int64N(int64(200*ms)))) {
			return
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				s.send(t, "write after a gap", s.request(t, s.quiet, http.MethodPost, "/xcoms/dag_a/r/t1/key", strings.NewReader(`"v"`), 200), 200)
			})
		}
		all.Wait()
	}
}

// flip moves a variable to the other team again and again, and wants it judged
// so once its time to live is over.
func (s *soak) flip(t *testing.T, done <-chan struct{}, db *pgx.Conn) {
	t.Helper()
	for i := 0; ; i++ {
		team, want := "team_b", http.StatusForbidden
		if i%2 == 1 {
			team, want = "team_a", http.StatusOK
		}
		if _, err := db.Exec(t.Context(), "UPDATE variable SET team_name = $1 WHERE key = 'flip'", team); err != nil {
			t.Error(err)
			return
		}
		if !pause(done, 6*time.Second) {
			return
		}
		for range 10 {
			s.send(t, "read of what has changed hands to "+team, s.request(t, s.fence, http.MethodGet, "/variables/flip", nil, want), want)
		}
	}
}
