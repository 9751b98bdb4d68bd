package check

import "strings"

// sharingEnvironment returns the pairs of teams whose secrets in the environment
// may have one name: Airflow reads AIRFLOW_VAR__<TEAM>___<KEY>, both in upper case
// (secrets/environment_variables.py), so team a's key _X is team a_'s key X. The
// shorter name comes first; each longer name is in one pair at most.
func sharingEnvironment(teams []string) [][2]string {
	const separator = "___"
	byUpper := make(map[string]string, len(teams))
	var pairs [][2]string
	for _, team := range teams {
		upper := strings.ToUpper(team)
		if other, taken := byUpper[upper]; taken {
			pairs = append(pairs, [2]string{other, team})
			continue
		}
		byUpper[upper] = team
	}
	for _, team := range teams {
		upper := strings.ToUpper(team)
		for end := len(upper) - 1; end > 0; end-- {
			shorter, known := byUpper[upper[:end]]
			if known && strings.HasPrefix(upper[end:]+separator, separator) {
				pairs = append(pairs, [2]string{shorter, team})
				break
			}
		}
	}
	return pairs
}
