package check

import "github.com/dagfence/dagfence/caddymodule/identity"

// SharingEnvironment is sharingEnvironment.
var SharingEnvironment = sharingEnvironment

// Reasons are those of package identity that have a mend.
func Reasons() []string {
	var reasons []string
	for _, m := range mends {
		reasons = append(reasons, identity.Reason(m.err))
	}
	return reasons
}
