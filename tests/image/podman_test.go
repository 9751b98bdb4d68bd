package image_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
)

// engineSettings are what podman needs in a container or a virtual machine of a CI as
// well: no higher limits than the process has, a runtime that knows both versions of
// cgroups, and no systemd. What it writes lies below the engine's own directory.
const engineSettings = `[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
[network]
network_config_dir = %q
`

// limit is longer than any command of podman takes, building without a cache too.
const limit = 15 * time.Minute

// An engine is podman with images, containers and a network of its own, all of which
// are gone when the test ends.
type engine struct {
	dir     string
	network string
}

// newEngine returns an engine that can start containers.
func newEngine(t *testing.T) *engine {
	t.Helper()
	for _, program := range []string{"podman", "runc", "catatonit", "busybox"} {
		services.Program(t, program)
	}
	if os.Getuid() != 0 {
		services.Missing(t, "containers with limits need cgroups that only root may write: run the tests as root")
	}
	// Not of the test: what is mounted below it may be busy when that removes it.
	dir, err := os.MkdirTemp("", "dagfence-") //nolint:usetesting // too long for podman's sockets
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{dir, filepath.Base(dir)}
	for _, below := range []string{"networks", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, below), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	e.write(t, "containers.conf", fmt.Sprintf(engineSettings, filepath.Join(dir, "networks")))
	t.Cleanup(func() { e.remove(t) })
	if _, err := e.podman(t, "network", "create", e.network); err != nil {
		services.Missing(t, "podman can't make a network here: "+err.Error())
	}
	return e
}

// remove ends and removes all that the engine has.
func (e *engine) remove(t *testing.T) {
	t.Helper()
	for _, command := range []string{"pod rm --all --force --time 0", "rm --all --force --time 0", "network rm --force " + e.network, "rmi --all --force"} {
		if _, err := e.podman(t, strings.Fields(command)...); err != nil {
			t.Errorf("podman %s: %v", command, err)
		}
	}
	// CNI remembers the last address of each network.
	for _, left := range []string{e.dir, filepath.Join("/var/lib/cni/networks", e.network)} {
		if err := os.RemoveAll(left); err != nil {
			t.Error(err)
		}
	}
}

// podman runs a command of the engine's to its end, and returns what it printed. The
// error is the last line on standard error, without the others, which are about a
// systemd that is not there.
func (e *engine) podman(t *testing.T, args ...string) (string, error) {
	t.Helper()
	stdout, stderr, err := e.execute(t, args...)
	if err != nil {
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		return stdout, fmt.Errorf("%s (%w)", lines[len(lines)-1], err)
	}
	return strings.TrimSpace(stdout), nil
}

func (e *engine) execute(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit) // cleanups run commands too
	defer cancel()
	of := func(name string) string { return filepath.Join(e.dir, name) }
	cmd := exec.CommandContext(ctx, services.Program(t, "podman"),
		append([]string{"--root", of("root"), "--runroot", of("run"), "--tmpdir", of("libpod")}, args...)...)
	cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+of("containers.conf"), "TMPDIR="+of("tmp"))
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	err = cmd.Run()
	return out.String(), errors.String(), err
}

// must is [engine.podman], and fails the test where that fails.
func (e *engine) must(t *testing.T, args ...string) string {
	t.Helper()
	output, err := e.podman(t, args...)
	if err != nil {
		t.Fatalf("podman %s: %v\n%s", strings.Join(args, " "), err, output)
	}
	return output
}

// run starts a container, hardened as docs/containers.md says, and returns its address in
// the network. Where the test was killed, it ends by itself.
func (e *engine) run(t *testing.T, name string, options []string, image string, args ...string) string {
	t.Helper()
	command := []string{
		"run", "--detach", "--name", name, "--network", e.network, "--timeout", "300",
		"--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		"--memory", "128m", "--cpus", "0.5", "--pids-limit", "100",
	}
	command = append(append(append(command, options...), image), args...)
	if _, err := e.podman(t, command...); err != nil {
		services.Missing(t, "podman can't run a container here: "+err.Error())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", name, e.logs(t, name))
		}
	})
	return e.address(t, name)
}

// address returns the address of a container in the engine's network.
func (e *engine) address(t *testing.T, container string) string {
	t.Helper()
	return e.must(t, "inspect", "--format", "{{with index .NetworkSettings.Networks \""+e.network+"\"}}{{.IPAddress}}{{end}}", container)
}

// logs returns what a container has printed, both streams.
func (e *engine) logs(t *testing.T, container string) string {
	t.Helper()
	stdout, stderr, err := e.execute(t, "logs", container)
	if err != nil {
		t.Errorf("podman logs %s: %v\n%s", container, err, stderr)
	}
	return stdout + stderr
}

// write writes a file of the engine's that everybody may read, and returns its path.
func (e *engine) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(e.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
