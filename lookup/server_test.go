package lookup_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/tests/services"
)

func TestServer_InvalidOptionsAreErrors(t *testing.T) {
	t.Parallel()
	d := directoryOf(t, lookup.Options{OwnershipFile: file(t, "dags: {}")})
	pki := newPKI(t)
	empty, missing := file(t, "\n"), filepath.Join(t.TempDir(), "none")
	busy := listen(t, func(net.Conn) {})
	for name, c := range map[string]struct {
		options lookup.ServerOptions
		want    string
	}{
		"open to all":          {lookup.ServerOptions{Listen: ":0"}, "--token-file or --client-ca"},
		"open to a network":    {lookup.ServerOptions{Listen: "10.0.0.1:0"}, "--token-file or --client-ca"},
		"open by a name":       {lookup.ServerOptions{Listen: "lookup.example:0"}, "--token-file or --client-ca"},
		"no address":           {lookup.ServerOptions{Listen: "nowhere"}, "--token-file or --client-ca"},
		"address in use":       {lookup.ServerOptions{Listen: busy}, "--listen: "},
		"empty token":          {lookup.ServerOptions{Listen: ":0", TokenFile: empty}, "token-file: the file is empty"},
		"no token file":        {lookup.ServerOptions{Listen: ":0", TokenFile: bearer}, "token-file: no such file"},
		"token with a blank":   {lookup.ServerOptions{Listen: ":0", TokenFile: file(t, "good\na b\n")}, "must not contain whitespace or non-ASCII characters"},
		"CA but no TLS":        {lookup.ServerOptions{Listen: ":0", ClientCA: pki.ca}, "--client-ca needs TLS: set --tls-cert and --tls-key"},
		"key but no cert":      {lookup.ServerOptions{Listen: "127.0.0.1:0", TLSKey: pki.key}, "--tls-cert and --tls-key"},
		"CA is missing":        {lookup.ServerOptions{Listen: ":0", TLSCert: pki.cert, TLSKey: pki.key, ClientCA: missing}, "client-ca: open"},
		"CA has no cert in it": {lookup.ServerOptions{Listen: ":0", TLSCert: pki.cert, TLSKey: pki.key, ClientCA: empty}, "holds no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			c.options.Logger = slog.New(slog.DiscardHandler)
			if err := lookup.Run(ctx, d, c.options); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), bearer) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
		})
	}
}

// run runs the service until the test ends, and returns its address and a stop
// that waits for its end.
func run(t *testing.T, d *lookup.Directory, options lookup.ServerOptions) (address string, stop func() error) {
	t.Helper()
	options.Listen = services.Address(t)
	options.Logger = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- lookup.Run(ctx, d, options) }()
	stop = func() error {
		cancel()
		return <-ended
	}
	deadline := time.Now().Add(10 * time.Second)
	for services.Dial("tcp", options.Listen)(ctx) != nil {
		if time.Now().After(deadline) {
			t.Fatalf("it does not listen: %v", stop())
		}
	}
	return options.Listen, stop
}

func TestServer_AnswersRequestsInFlightAtItsEnd(t *testing.T) {
	t.Parallel()
	d := directoryOf(t, lookup.Options{OwnershipFile: file(t, "dags: {d: team_d}")})
	address, stop := run(t, d, lookup.ServerOptions{TokenFile: file(t, bearer+"\n")})
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	if status, body := call(t, client, "http://"+address); status != 200 || !strings.Contains(body, "team_d") {
		t.Errorf("%d %s", status, body)
	}
	// A request whose body is still to come when the end begins is answered.
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"questions":[{"kind":"dag","name":"d"}]}`
	_, _ = fmt.Fprintf(conn, "POST /v1/owners HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", bearer, len(body))
	first := make([]byte, len("HTTP/1.1 100"))
	if _, err := io.ReadFull(conn, first); err != nil || string(first) != "HTTP/1.1 100" {
		t.Fatalf("%q %v", first, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	for services.Dial("tcp", address)(t.Context()) == nil { // until it listens no more
		time.Sleep(time.Millisecond)
	}
	_, _ = io.WriteString(conn, body)
	if answer, err := io.ReadAll(conn); err != nil || !bytes.Contains(answer, []byte("team_d")) {
		t.Errorf("%q %v", answer, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestServer_RequiresClientCertificates(t *testing.T) {
	t.Parallel()
	d := directoryOf(t, lookup.Options{OwnershipFile: file(t, "dags: {d: team_d}")})
	pki := newPKI(t)
	address, stop := run(t, d, lookup.ServerOptions{TLSCert: pki.cert, TLSKey: pki.key, ClientCA: pki.ca})
	client := func(certificates ...tls.Certificate) *http.Client {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{ServerName: "127.0.0.1", RootCAs: pki.pool, Certificates: certificates}}}
		t.Cleanup(c.CloseIdleConnections)
		return c
	}
	if status, body := call(t, client(pki.client), "https://"+address); status != 200 || !strings.Contains(body, "team_d") {
		t.Errorf("with a certificate: %d %s", status, body)
	}
	if status, body := call(t, client(), "https://"+address); status != 401 || strings.Contains(body, "team_d") {
		t.Errorf("without: %d %s", status, body)
	}
	if status, body := call(t, client(newPKI(t).client), "https://"+address); status == 200 || strings.Contains(body, "team_d") {
		t.Errorf("with a stranger's: %d %s", status, body)
	}
	// A pair that is rotated is served to the next client; half of one is not.
	serial := func() string {
		conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: "127.0.0.1", RootCAs: pki.pool})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	cert, key := pki.issue(t, x509.ExtKeyUsageServerAuth)
	write(t, pki.cert, cert)
	if got := serial(); got != before {
		t.Errorf("half of a rotation: %s, want %s", got, before)
	}
	write(t, pki.key, key)
	if got := serial(); got == before {
		t.Error("the rotated certificate is not served")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// call asks for the owner of dag "d"; a failed handshake is status 0.
func call(t *testing.T, client *http.Client, base string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/owners", strings.NewReader(`{"questions":[{"kind":"dag","name":"d"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+bearer)
	response, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(data)
}

// pki is a certificate authority with a server's pair as files and a client's.
type pki struct {
	ca, cert, key string
	pool          *x509.CertPool
	client        tls.Certificate
	parent        *x509.Certificate
	signer        *ecdsa.PrivateKey
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	p := &pki{signer: signer, pool: x509.NewCertPool()}
	if p.parent, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	p.pool.AddCert(p.parent)
	dir := t.TempDir()
	p.ca, p.cert, p.key = filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	write(t, p.ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	cert, key := p.issue(t, x509.ExtKeyUsageServerAuth)
	write(t, p.cert, cert)
	write(t, p.key, key)
	cert, key = p.issue(t, x509.ExtKeyUsageClientAuth)
	if p.client, err = tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pki) issue(t *testing.T, usage x509.ExtKeyUsage) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.parent, private.Public(), p.signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// clientConfig trusts the server's authority, and shows a certificate of another.
func clientConfig(server, shown *pki) *tls.Config {
	return &tls.Config{ServerName: "127.0.0.1", RootCAs: server.pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown.client, nil }}
}
