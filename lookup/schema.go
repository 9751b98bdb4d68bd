package lookup

import (
	"slices"
	"strings"

	"github.com/dagfence/dagfence/resolver"
)

// schema is one way in which Airflow's metadata database has kept owners. The
// schemas differ in this data alone.
//
// No table has an alias, because what a database says of a missing column names
// the column as the query does.
//
// Every query has one parameter, maybe several times, and returns the columns of
// [record] in the order of its add: the stored name, dag_id, run_id, task_id,
// map_index, whether it is the current attempt, the dag row's dag_id (NULL: no
// such row), its bundle, and the team (NULL: a team that has no row). Those of
// assets return the names of rows, as addAsset reads them.
type schema struct {
	// releases are the Airflow releases that have it, for errors and logs.
	releases string
	// marker can be run on this schema, and on none that is listed after it.
	marker string
	// revisions, where set, are the only values of the marker that mean this
	// schema (Airflow's utils/db.py, _REVISION_HEADS_MAP).
	revisions []string
	// hexIDs: outside PostgreSQL a task instance's id has no dashes (migration
	// 0104 of 3.2.0).
	hexIDs  bool
	queries map[resolver.Kind]string
	// watched are the tables whose rows the watch compares, and bundles returns
	// each bundle's name and team; empty where there are no teams.
	watched []watched
	bundles string
}

// watched is a table whose rows have an owner.
type watched struct {
	kind resolver.Kind
	// rows returns the name and the owner, as the row o writes it, of all rows;
	// name is the column to page by.
	rows, name string
	// locksTeam: no row gets a team without a change of [snapshot.teamLocks].
	locksTeam bool
}

// dagsOfBundle returns the dags of one bundle.
const dagsOfBundle = "SELECT d.dag_id, d.bundle_name FROM dag d WHERE d.bundle_name = ?"

var dagsWatched = watched{kind: resolver.KindDag, rows: "SELECT o.dag_id, o.bundle_name FROM dag o", name: "o.dag_id"}

// watchedBy are the tables where a variable and a connection name their team in
// the column.
func watchedBy(team string) []watched {
	return []watched{
		dagsWatched,
		{kind: resolver.KindVariable, rows: "SELECT o.key, o." + team + " FROM variable o", name: "o.key", locksTeam: true},
		{kind: resolver.KindConnection, rows: "SELECT o.conn_id, o." + team + " FROM connection o", name: "o.conn_id", locksTeam: true},
	}
}

// schemas are listed newest first. That 3.0 has no teams is believed of its
// own revisions only: a column of teams that is hidden by a missing grant, or
// moved by a later release, must not read as "no team".
var schemas = []schema{
	{
		releases: "3.4",
		marker:   "SELECT task_instance.working_set FROM task_instance WHERE 1 = 0",
		hexIDs:   true,
		queries: queries(
			tasksInRegions,
			"COALESCE(dag_bundle_team.team_name, '')", joinBundles,
			"COALESCE({table}.team_name, '')", "",
		),
		watched: watchedBy("team_name"),
		bundles: bundlesByName,
	},
	{
		releases: "3.2 and 3.3",
		marker:   "SELECT variable.team_name FROM variable WHERE 1 = 0",
		hexIDs:   true,
		queries: queries(
			tasksAndHistory,
			"COALESCE(dag_bundle_team.team_name, '')", joinBundles,
			"COALESCE({table}.team_name, '')", "",
		),
		watched: watchedBy("team_name"),
		bundles: bundlesByName,
	},
	{
		releases: "3.1",
		marker:   "SELECT variable.team_id FROM variable WHERE 1 = 0",
		queries: queries(
			tasksAndHistory,
			"CASE WHEN dag_bundle_team.team_id IS NULL THEN '' ELSE team.name END",
			joinBundles+" LEFT JOIN team ON team.id = dag_bundle_team.team_id",
			"CASE WHEN {table}.team_id IS NULL THEN '' ELSE team.name END", "LEFT JOIN team ON team.id = {table}.team_id",
		),
		watched: watchedBy("team_id"),
		bundles: "SELECT b.dag_bundle_name, b.team_id FROM dag_bundle_team b ORDER BY b.dag_bundle_name, b.team_id",
	},
	{
		releases:  "3.0",
		marker:    "SELECT alembic_version.version_num FROM alembic_version",
		revisions: []string{"29ce7909c52b", "fe199e1abd77"},
		queries:   queries(tasksAndHistory, "''", "", "''", ""),
		watched:   []watched{dagsWatched},
	},
}

const (
	// tasksAndHistory are the task instances up to 3.3. An attempt that was
	// reported up for retry, or cleared, has left task_instance while its process
	// still runs its callbacks.
	tasksAndHistory = "SELECT task_instance.id, task_instance.dag_id, task_instance.run_id, task_instance.task_id, task_instance.map_index, 1 AS is_current" +
		" FROM task_instance WHERE task_instance.id = ?" +
		" UNION ALL SELECT task_instance_history.task_instance_id, task_instance_history.dag_id, task_instance_history.run_id," +
		" task_instance_history.task_id, task_instance_history.map_index, 0 FROM task_instance_history WHERE task_instance_history.task_instance_id = ?"

	// tasksInRegions are those of 3.4, which keeps all attempts in one table. The
	// map index that a client sees is the region's index in the expansion of the
	// task itself, and -1 in any other region (models/task_coordinates.py,
	// public_map_index_expression).
	tasksInRegions = "SELECT task_instance.id, task_instance.dag_id, task_instance.run_id, task_instance.task_id," +
		" CASE WHEN task_instance.region_id = " + nilUUID + " OR dynamic_region.id IS NOT NULL THEN task_instance.region_index ELSE -1 END AS map_index," +
		" CASE WHEN task_instance.working_set THEN 1 ELSE 0 END AS is_current" +
		" FROM task_instance LEFT JOIN dynamic_region ON dynamic_region.id = task_instance.region_id" +
		" AND dynamic_region.node_id = task_instance.task_id WHERE task_instance.id = ?"

	joinBundles = "LEFT JOIN dag_bundle_team ON dag_bundle_team.dag_bundle_name = dag.bundle_name"

	// nilUUID is the placeholder of the dialect's own in a query.
	nilUUID = "{nilUUID}"

	bundlesByName = "SELECT b.dag_bundle_name, b.team_name FROM dag_bundle_team b ORDER BY b.dag_bundle_name, b.team_name"
)

// knownReleases lists the releases whose schemas are known, oldest first, for
// errors.
func knownReleases() string {
	var releases []string
	for i := range schemas {
		releases = append(releases, schemas[i].releases)
	}
	slices.Reverse(releases)
	return strings.Join(releases, ", ")
}

// queries makes a schema's queries of the query for a task instance and of its
// team expressions: dagTeam with dagJoin for what belongs to a dag, ownTeam with
// ownJoin for a row of {table} that names its own team.
func queries(tasks, dagTeam, dagJoin, ownTeam, ownJoin string) map[resolver.Kind]string {
	owned := func(name, table string) string {
		return strings.NewReplacer("{table}", table, "{name}", name).Replace(
			"SELECT {table}.{name}, '', '', '', 0, 0, '', '', " + ownTeam + " FROM {table} " + ownJoin + " WHERE {table}.{name} = ?")
	}
	return map[resolver.Kind]string{
		resolver.KindTask: "SELECT i.id, i.dag_id, i.run_id, i.task_id, i.map_index, i.is_current, dag.dag_id, COALESCE(dag.bundle_name, ''), " + dagTeam +
			" FROM (" + tasks + ") i LEFT JOIN dag ON dag.dag_id = i.dag_id " + dagJoin,
		resolver.KindDag: "SELECT dag.dag_id, dag.dag_id, '', '', 0, 0, dag.dag_id, COALESCE(dag.bundle_name, ''), " + dagTeam +
			" FROM dag " + dagJoin + " WHERE dag.dag_id = ?",
		resolver.KindVariable:   owned("key", "variable"),
		resolver.KindConnection: owned("conn_id", "connection"),
		resolver.KindAssetName:  assetsByName,
		resolver.KindAssetURI:   assetsByURI,
		resolver.KindAssetAlias: assetsByAlias,
		resolver.KindAsset:      assetsByName + " UNION " + assetsByURI + " UNION " + assetsByAlias,
	}
}

// Assets are the same in all releases. Each query finds its rows by an index.
const (
	// assetsByName finds every asset of the name, active or not: which one is active
	// may change before upstream looks.
	assetsByName = "SELECT '', asset.name, asset.uri FROM asset WHERE asset.name = ?"
	// assetsByURI finds the active asset alone, as upstream does; no index has the
	// URIs of others.
	assetsByURI = "SELECT '', asset_active.name, asset_active.uri FROM asset_active WHERE asset_active.uri = ?"
	// assetsByAlias finds the alias, the assets that it is tied to, and those of the
	// events that came by it.
	assetsByAlias = "SELECT asset_alias.name, COALESCE(asset.name, ''), COALESCE(asset.uri, '') FROM asset_alias" +
		" LEFT JOIN asset_alias_asset ON asset_alias_asset.alias_id = asset_alias.id" +
		" LEFT JOIN asset ON asset.id = asset_alias_asset.asset_id WHERE asset_alias.name = ?" +
		" UNION SELECT asset_alias.name, asset.name, asset.uri FROM asset_alias" +
		" JOIN asset_alias_asset_event ON asset_alias_asset_event.alias_id = asset_alias.id" +
		" JOIN asset_event ON asset_event.id = asset_alias_asset_event.event_id" +
		" JOIN asset ON asset.id = asset_event.asset_id WHERE asset_alias.name = ?"
)
