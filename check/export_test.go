package check

import "github.com/dagfence/dagfence/caddymodule/identity"

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
