package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/proxyconfig"
)

// stage is all that the demo runs: the world, the stub of the Execution API, and the
// fence, which is the real handler in this process' Caddy; so there is one stage at
// a time. Close it.
type stage struct {
	world    *world
	upstream *upstream
	// address is where the fence listens, host:port.
	address string
}

// newStage starts everything. saw is called with each request that reaches
// upstream. rules are the fence's; their zero value is the defaults.
func newStage(ctx context.Context, listen string, rules config.Rules, saw func(arrival)) (*stage, error) {
	if err := forgetAirflow(); err != nil {
		return nil, err
	}
	s := new(stage)
	err := s.open(ctx, listen, rules, saw)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) open(ctx context.Context, listen string, rules config.Rules, saw func(arrival)) (err error) {
	if s.world, err = newWorld(ctx); err != nil {
		return err
	}
	if s.upstream, err = startUpstream(ctx, s.world, saw); err != nil {
		return err
	}
	origin, err := proxyconfig.ParseUpstream(s.upstream.url)
	if err != nil {
		return err
	}
	loaded, err := proxyconfig.New(proxyconfig.Options{Listen: listen, Upstream: origin, Fence: config.Config{
		MultiTeam: config.On, Database: s.world.databaseURL(),
		OwnershipFile: strings.ReplaceAll(s.world.ownershipFile(), "{", `\{`), // no placeholder
		Rules:         rules, Token: config.Token{Secret: s.world.secret},
	}})
	if err != nil {
		return err
	}
	quiet(loaded)
	if err := caddy.Run(loaded); err != nil {
		return fmt.Errorf("starting the fence: %w (set --listen to another address, such as 127.0.0.1:0 for any free port)", err)
	}
	s.address, err = fenceAddress()
	return err
}

// close stops the fence first, since it uses the others.
func (s *stage) close() error {
	errs := []error{caddy.Stop()}
	if s.upstream != nil {
		errs = append(errs, s.upstream.close())
	}
	if s.world != nil {
		errs = append(errs, s.world.close())
	}
	return errors.Join(errs...)
}

// quiet limits Caddy's log to errors.
func quiet(loaded *caddy.Config) {
	loaded.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{Level: "ERROR"}},
	}}
}

// forgetAirflow removes Airflow's own configuration from the environment, so that
// the demo is the same everywhere.
func forgetAirflow() error {
	if err := os.Setenv("AIRFLOW_CONFIG", os.DevNull); err != nil {
		return fmt.Errorf("setting AIRFLOW_CONFIG: %w", err)
	}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "AIRFLOW__") {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("unsetting %s: %w", name, err)
		}
	}
	return nil
}

// fenceAddress returns where the fence of the running Caddy listens.
func fenceAddress() (string, error) {
	app, err := caddy.ActiveContext().AppIfConfigured("http")
	if err != nil {
		return "", fmt.Errorf("finding the fence: %w", err)
	}
	if servers, ok := app.(*caddyhttp.App); ok {
		for _, server := range servers.Servers { // there is one
			for _, listener := range server.Listeners() {
				return listener.Addr().String(), nil
			}
		}
	}
	return "", errors.New("finding the fence: it listens nowhere")
}
