package check

import (
	"net/netip"

	"github.com/dagfence/dagfence/caddymodule/identity"
)

// SetEnvironment sets the api-server's environment.
func (o *Options) SetEnvironment(environment func(string) (string, bool)) {
	o.environment = environment
}

// SetAddresses sets what addresses this machine has.
func (o *Options) SetAddresses(addresses ...netip.Addr) {
	o.addresses = func() ([]netip.Addr, error) { return addresses, nil }
}

// SharingEnvironment is sharingEnvironment.
var SharingEnvironment = sharingEnvironment

// Reasons returns the reasons of package identity that have a hint.
func Reasons() []string {
	var reasons []string
	for _, m := range tokenHints {
		reasons = append(reasons, identity.Reason(m.err))
	}
	return reasons
}
