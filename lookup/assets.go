package lookup

import (
	"slices"
	"time"

	"github.com/dagfence/dagfence/resolver"
)

// assetWithoutDatabase answers about an asset where the database adds nothing, or
// there is none. Without a database an asset is what it is called, and what an
// alias leads to is not known.
func (d *Directory) assetWithoutDatabase(key resolver.Key, owners *ownershipRules, asOf time.Time) (answer resolver.Answer, settled bool) {
	switch {
	case !owners.ownAssets():
		return resolver.Answer{Outcome: resolver.NotFound, AsOf: asOf}, true
	case d.metadata != nil && storable(key.Name):
		return resolver.Answer{}, false
	case d.metadata == nil && key.Kind == resolver.KindAssetAlias:
		return unavailable("the assets of an alias are only in the metadata database: set database"), true
	}
	return judgeAsset(key, record{}, owners, asOf), true
}

// judgeAsset answers with every team that the file lists for the name that was asked
// for, or a name or URI of a row that it leads to. A row that is unowned adds
// no owner, and takes none away. Granted is what is granted of every owned name.
func judgeAsset(key resolver.Key, r record, owners *ownershipRules, asOf time.Time) resolver.Answer {
	answer := resolver.Answer{Outcome: resolver.NotFound, AsOf: asOf}
	if r.found {
		answer.Outcome = resolver.Found
	}
	var teams []string
	var found []ownedAsset
	for _, name := range append([]string{key.Name}, r.names...) {
		team, named := owners.assets.find(name)
		if named {
			answer.Outcome = resolver.Found
		}
		if team == "" {
			continue
		}
		granted, _ := owners.grants.assets.find(name)
		found = append(found, ownedAsset{team, granted})
		if !slices.Contains(teams, team) {
			teams = append(teams, team)
		}
	}
	if len(teams) > 0 {
		answer.Team, answer.Others = teams[0], teams[1:]
		answer.Grants = grantedOfAll(found, teams)
	}
	return answer
}

// ownedAsset is a name or URI of an asset with its owner, and what is granted of it.
type ownedAsset struct {
	team    string
	granted *resolver.Grants
}

// grantedOfAll returns the teams that may read everything that was found: each is
// the owner of it, or is granted it. A single owner is not listed.
func grantedOfAll(found []ownedAsset, teams []string) *resolver.Grants {
	candidates := slices.Clone(teams)
	if len(teams) == 1 {
		candidates = nil
	}
	for _, asset := range found {
		if asset.granted != nil {
			candidates = append(candidates, asset.granted.Read...)
		}
	}
	var readers []string
	for _, team := range candidates {
		lacks := func(asset ownedAsset) bool { return asset.team != team && !asset.granted.Reads(team) }
		if !slices.Contains(readers, team) && !slices.ContainsFunc(found, lacks) {
			readers = append(readers, team)
		}
	}
	if readers == nil {
		return nil
	}
	return &resolver.Grants{Read: readers}
}
