package route

import "fmt"

// apiVersions are the Airflow-API-Version values of Airflow 3.0 to 3.4, oldest
// first (airflow/api_fastapi/execution_api/versions of each release).
var apiVersions = [...]string{
	"2025-04-11", "2025-04-28", "2025-05-20", "2025-08-10", // 3.0
	"2025-09-23", "2025-10-27", "2025-11-05", // 3.1
	"2026-04-06", // 3.2
	"2026-06-30", // 3.3
	"2026-10-30", // 3.4.0b2
}

// Newest is the newest API version that the table knows.
func Newest() string { return apiVersions[len(apiVersions)-1] }

// versionSet has one bit for each of apiVersions.
type versionSet uint16

// versionsBetween is the set of versions from since to until, both included.
// It panics on a version that is not listed: the table is data of this package.
func versionsBetween(since, until string) versionSet {
	set, sinceKnown, untilKnown := versionSet(0), false, until == ""
	for i, version := range apiVersions {
		sinceKnown = sinceKnown || version == since
		untilKnown = untilKnown || version == until
		if version >= since && (until == "" || version <= until) {
			set |= 1 << i
		}
	}
	if !sinceKnown || !untilKnown {
		panic(fmt.Sprintf("route: unknown API version in %q to %q", since, until))
	}
	return set
}

// versionsUpTo is the set of versions that upstream may pick. Cadwyn picks the
// newest it has that is not newer than the header's date, or its newest where
// there is no header; a release that is older than the client has fewer, so
// every version up to the date may be the one (cadwyn/routing.py).
func versionsUpTo(r Request) (versionSet, error) {
	if !r.HasAPIVersion {
		return 1<<len(apiVersions) - 1, nil
	}
	if !isDate(r.APIVersion) {
		return 0, &Error{Reason: BadVersion, Detail: "the Airflow-API-Version header is not a date such as 2026-06-30"}
	}
	set := versionSet(0)
	for i, version := range apiVersions {
		if version <= r.APIVersion {
			set |= 1 << i
		}
	}
	return set, nil
}

// isDate reports whether s has the form YYYY-MM-DD, in which dates order as
// their strings do. Anything else Cadwyn orders as a string, too, but answers 422.
func isDate(s string) bool {
	if len(s) != len("YYYY-MM-DD") {
		return false
	}
	for i := range len(s) {
		if i == 4 || i == 7 {
			if s[i] != '-' {
				return false
			}
		} else if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
