// Package image_test builds the image of deploy/Containerfile with podman, and runs it
// as docs/containers.md and deploy/kubernetes say.
package image_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

const (
	root = "../.."
	// The names in the shipped manifests, which an engine has of its own.
	fence   = "ghcr.io/dagfence/dagfence:0.1.0"
	airflow = "docker.io/apache/airflow:3.3.2"
)

// goImage has of the public Go image what the Containerfile uses: a shell and the
// certificate authorities; Go itself is the machine's.
const goImage = `FROM scratch
COPY busybox /bin/busybox
COPY ca-certificates.crt /etc/ssl/certs/
ENV PATH=/usr/local/go/bin:/bin HOME=/root GOPROXY=off GOTOOLCHAIN=local GOMODCACHE=/cache/mod GOCACHE=/cache/build
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin && mkdir /tmp"]
`

const airflowImage = `FROM scratch
COPY upstream /upstream
USER 50000:0
ENTRYPOINT ["/upstream"]
`

// TestImage builds the image once, for all that is tested of it.
func TestImage(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.build(t)
	for name, test := range map[string]func(*testing.T, *engine){
		"has no files but those it needs": hasNoOthers,
		"is small":                        isSmall,
		"says what it is":                 saysWhatItIs,
		"proxy runs hardened, judges, and ends in time":      runsProxy,
		"run serves the shipped Caddyfile":                   runsCaddyfile,
		"lookup answers who has its token":                   runsLookup,
		"a wrong setting is one error, and no exit with 0":   saysWhatIsWrong,
		"beside an api-server in a pod, no one gets past it": runsPod,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, e)
		})
	}
}

// build makes the image as the Containerfile says, from stand-ins for what a registry
// would have, and an image that stands for Airflow's.
func (e *engine) build(t *testing.T) {
	t.Helper()
	context := t.TempDir()
	for _, file := range []string{services.Program(t, "busybox"), "/etc/ssl/certs/ca-certificates.crt"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(context, filepath.Base(file)), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	compile(t, "./tests/image/testdata/upstream", filepath.Join(context, "upstream"))
	image := func(tag, steps string) {
		e.must(t, "build", "--network", "none", "--tag", tag, "--file", e.write(t, "Containerfile", steps), context)
	}
	image("localhost/go", goImage)
	image(airflow, airflowImage)
	e.must(t, "build", "--pull=never", "--network", "none", "--format", "docker", "--tag", fence, "--file", filepath.Join(root, "deploy/Containerfile"),
		"--build-arg", "GO_IMAGE=localhost/go", "--build-arg", "VERSION=0.1.0",
		"--volume", goEnv(t, "GOROOT")+":/usr/local/go:ro", "--volume", goEnv(t, "GOMODCACHE")+":/cache/mod:O", "--volume", goEnv(t, "GOCACHE")+":/cache/build", root)
}

// compile makes a static program of a package.
func compile(t *testing.T, pkg, program string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, output)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(output))
}

// pushed are the files of the image as a registry would get them.
func (e *engine) pushed(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	e.must(t, "push", "--quiet", "--compress", fence, "dir:"+dir)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func hasNoOthers(t *testing.T, e *engine) {
	t.Helper()
	var found []string
	for _, file := range e.pushed(t) {
		found = append(found, unpacked(t, file)...)
	}
	slices.Sort(found)
	if want := []string{"dagfence", "etc/ssl/certs/ca-certificates.crt", "licenses/LICENSE", "licenses/THIRD_PARTY_LICENSES"}; !slices.Equal(slices.Compact(found), want) {
		t.Errorf("the image has %q, want %q", found, want)
	}
}

// unpacked lists the files in a layer; nothing where it is none.
func unpacked(t *testing.T, layer string) (files []string) {
	t.Helper()
	file, err := os.Open(layer)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if errors.Is(err, gzip.ErrHeader) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag != tar.TypeDir {
			files = append(files, header.Name)
		}
	}
}

// isSmall holds what docs/containers.md promises.
func isSmall(t *testing.T, e *engine) {
	t.Helper()
	var size int64
	if err := json.Unmarshal([]byte(e.must(t, "inspect", "--format", "{{.Size}}", fence)), &size); err != nil {
		t.Fatal(err)
	}
	var compressed int64
	for _, file := range e.pushed(t) {
		of, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		compressed += of.Size()
	}
	t.Logf("%d bytes, %d compressed", size, compressed)
	if size > 60e6 || compressed > 22e6 {
		t.Errorf("the image has %d bytes, %d compressed; want 60 MB and 22 MB at most", size, compressed)
	}
}

func saysWhatItIs(t *testing.T, e *engine) {
	t.Helper()
	var inspected []struct {
		Labels      map[string]string
		Healthcheck struct{ Test []string }
		Config      struct {
			User            string
			Entrypoint, Cmd []string
		}
	}
	if err := json.Unmarshal([]byte(e.must(t, "inspect", fence)), &inspected); err != nil {
		t.Fatal(err)
	}
	image := inspected[0]
	if image.Config.User != "65532:65532" || !slices.Equal(image.Config.Entrypoint, []string{"/dagfence"}) || len(image.Config.Cmd) > 0 ||
		!slices.Equal(image.Healthcheck.Test, []string{"CMD", "/dagfence", "health"}) {
		t.Errorf("the image's configuration is %+v", image)
	}
	if version := e.must(t, "run", "--rm", "--network", "none", fence, "version"); !strings.HasPrefix(version, "dagfence v0.1.0\n") {
		t.Errorf("its binary says that it is %q", version)
	}
	for label, want := range map[string]string{
		"title": "dagfence", "version": "0.1.0", "licenses": "Apache-2.0", "source": "https://github.com/dagfence/dagfence", "revision": "unknown",
	} {
		if got := image.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
}
