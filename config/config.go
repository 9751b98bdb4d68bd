// Package config is what can be set: one struct, whose field comments are the
// documentation, its defaults, what it takes from Airflow's own configuration
// (environment and airflow.cfg), and what makes it wrong.
//
// A Config is made ready in this order: [Config.Replace], so that only what the
// configuration itself says can hold a placeholder; then [Config.FillFrom],
// [Config.WithDefaults] and [Config.Validate].
package config

import "github.com/caddyserver/caddy/v2"

// The values of switches. Each field documents its values.
const (
	Enforce      = "enforce"
	Audit        = "audit"
	On           = "on"
	Off          = "off"
	Allow        = "allow"
	Deny         = "deny"
	UnsafeAllow  = "unsafe_allow"
	TaskInstance = "task_instance"
	Task         = "task"
	Dag          = "dag"
	Retry        = "retry"
)

// Config is everything that can be set. Its zero value sets nothing: all of it
// then comes from Airflow's own configuration and the defaults. What is set here
// wins over the environment, the environment over airflow.cfg, and that over the
// default. Where a variable AIRFLOW__SECTION__OPTION is named, airflow.cfg has
// the same as [section] option.
type Config struct {
	// Mode is "enforce", or "audit": everything that can be parsed is
	// forwarded, and what would have been refused is recorded. Default: enforce.
	Mode string `json:"mode,omitempty"`

	// BasePath is where upstream mounts the Execution API: an absolute path
	// without a slash at its end. Environment: AIRFLOW__API__BASE_URL, whose path
	// /execution is appended to. Default: /execution.
	BasePath string `json:"base_path,omitempty"`

	// MultiTeam is "on", or "off": team rules are skipped, and XComs can still
	// be written by their own task alone. Environment:
	// AIRFLOW__CORE__MULTI_TEAM, true or false. Default: on.
	MultiTeam string `json:"multi_team,omitempty"`

	// MultiTeamAssumed means that MultiTeam is the default, so that whether Airflow
	// itself has it on is not known. WithDefaults sets it.
	MultiTeamAssumed bool `json:"-"`

	// Token says how the tokens of tasks are verified.
	Token Token `json:"token,omitzero"`

	// Database is Airflow's metadata database, as the SQLAlchemy URL that
	// Airflow itself has (PostgreSQL, MySQL or SQLite). It is only read, and no
	// column that holds a secret is. Environment:
	// AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, unless Lookup.URL is set. Default:
	// none.
	Database string `json:"database,omitempty"`

	// DatabaseSchema is the schema that holds Airflow's tables ([database]
	// sql_alchemy_schema). Environment: AIRFLOW__DATABASE__SQL_ALCHEMY_SCHEMA,
	// unless Lookup.URL is set. Default: the first of the role's search_path that
	// has them.
	DatabaseSchema string `json:"database_schema,omitempty"`

	// OwnershipFile is the path of a YAML file that says who owns what the
	// database does not know; it wins over the database. Default: none.
	OwnershipFile string `json:"ownership_file,omitempty"`

	// Lookup is the service to ask instead of Database and OwnershipFile.
	Lookup Lookup `json:"lookup,omitzero"`

	// Redis is the URL of a cache that several fences share: redis://,
	// rediss://, unix://, redis-sentinel://host,host/master,
	// rediss-sentinel://, redis-cluster://host,host or rediss-cluster://. It is
	// never an authority: without it, or while it is down, all else works.
	// Default: none.
	Redis string `json:"redis,omitempty"`

	// Cache says how much is remembered, and for how long.
	Cache Cache `json:"cache,omitzero"`

	// Rules says which groups of rules apply, and how strictly.
	Rules Rules `json:"rules,omitzero"`

	// OnUnavailable is the answer while no source can say who owns what: "retry"
	// (503 with Retry-After, which the Task SDK retries), or "deny" (403, which
	// it takes as final). Default: retry.
	OnUnavailable string `json:"on_unavailable,omitempty"`

	// LogAllowed is the share of allowed requests that is logged at level info, 0 to
	// 1. Refused ones always are, and at level debug all are. Default: 0.
	LogAllowed float64 `json:"log_allowed,omitempty"`

	// templates are what Replace found placeholders in.
	templates []template
}

// Token says how the tokens of tasks are verified. One kind of key is used:
// JWKS wins, then PublicKey, then the secret, as in Airflow's api-server. Where
// any of the four is set here, no key is taken from Airflow's own configuration.
type Token struct {
	// JWKS is the URL (http, https) or the file of a JSON Web Key Set (RFC
	// 7517). Its symmetric keys are refused. Environment:
	// AIRFLOW__API_AUTH__TRUSTED_JWKS_URL. Default: none.
	JWKS string `json:"jwks,omitempty"`

	// PublicKey is the path of a PEM file with the key. Where it holds a private key, only the public
	// half is used. Environment: AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH.
	// Default: none.
	PublicKey string `json:"public_key,omitempty"`

	// Secret is the secret that Airflow signs with. Environment:
	// AIRFLOW__API_AUTH__JWT_SECRET. Default: none.
	Secret string `json:"secret,omitempty"`

	// SecretFile is the path of a file that holds the secret, byte by byte, instead of
	// Secret. Default: none.
	SecretFile string `json:"secret_file,omitempty"`

	// Algorithms are the JWS algorithms (RFC 7518, RFC 8037) that a token may be
	// signed with. Environment: AIRFLOW__API_AUTH__JWT_ALGORITHM, separated by
	// commas; GUESS is the default. Default: HS512 with a secret, each key's own
	// with a key set or a public key.
	Algorithms []string `json:"algorithms,omitempty"`

	// Audience lists what a token may be meant for; one match suffices.
	// Environment: AIRFLOW__EXECUTION_API__JWT_AUDIENCE, separated by commas.
	// Default: urn:airflow.apache.org:task.
	Audience []string `json:"audience,omitempty"`

	// Issuer lists who may have issued a token. Environment:
	// AIRFLOW__API_AUTH__JWT_ISSUER, one name: the Execution API takes it
	// whole, commas included. Default: none, and no issuer is checked.
	Issuer []string `json:"issuer,omitempty"`

	// Leeway is how far the clocks may differ, 0 to 5m. Nil is not set; 0 is no
	// leeway. Environment: AIRFLOW__API_AUTH__JWT_LEEWAY, whole seconds.
	// Default: 10s.
	Leeway *caddy.Duration `json:"leeway,omitempty"`
}

// Lookup is the service that answers who owns what. Its zero value is no such
// service.
type Lookup struct {
	// URL is where the service is, http or https. Default: none.
	URL string `json:"url,omitempty"`

	// Token is the bearer secret that the service wants. Default: none.
	Token string `json:"token,omitempty"`

	// CA is the path of a PEM file with the CA certificates that the service's
	// certificate is verified by. Default: the system's.
	CA string `json:"ca,omitempty"`

	// TLSClient is the certificate that the fence shows to the service.
	// Default: none.
	TLSClient *KeyPair `json:"tls_client,omitempty"`

	// Timeout is how long the lookups of one decision may take together, at most
	// 4s. Default: 2s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
}

// KeyPair is a certificate and its private key, in PEM files that may be replaced
// at any time. Both are needed.
type KeyPair struct {
	// Cert is the file with the certificate, and its intermediates behind it.
	Cert string `json:"cert,omitempty"`

	// Key is the file with the private key, without a password.
	Key string `json:"key,omitempty"`
}

// Cache says how much is remembered, and for how long.
type Cache struct {
	// Size is the number of answers kept in memory, at most 10000000. Default:
	// 100000.
	Size int `json:"size,omitempty"`

	// TTL is the greatest age of an owner, of no owner and of not found, at most
	// 1m: a changed owner goes unnoticed no longer. Default: 5s.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// TaskTTL is the greatest age of a task's identity (its dag, run, task and
	// map index, never its team), which does not change while the task lives;
	// at most 1h. Default: 5m.
	TaskTTL caddy.Duration `json:"task_ttl,omitempty"`

	// Key is the secret that entries in Redis are sealed with, 16 characters or
	// more, the same on every fence that shares a Redis. Default: derived from
	// the token secret; with Redis and Token.JWKS or Token.PublicKey it must be
	// set.
	Key string `json:"key,omitempty"`

	// Deployment keeps the entries and messages of one Airflow from those of another
	// on the same Redis: up to 64 letters, digits, dots, dashes and underscores, the
	// same on every fence and lookup service of an Airflow. Default: none.
	Deployment string `json:"deployment,omitempty"`
}

// Rules says which groups of rules apply, and how strictly. A group is
// "enforce", "audit" (forwarded, and recorded if it would have been refused) or
// "off".
type Rules struct {
	// Variables is the group of Airflow variables. Default: enforce.
	Variables string `json:"variables,omitempty"`

	// Connections is the group of Airflow connections. Default: enforce.
	Connections string `json:"connections,omitempty"`

	// XComs is the group of XComs. Default: enforce.
	XComs string `json:"xcoms,omitempty"`

	// Dags is the group of dags, dag runs and other tasks' instances. Default:
	// enforce.
	Dags string `json:"dags,omitempty"`

	// Assets is the group of assets and their events. Default: enforce.
	Assets string `json:"assets,omitempty"`

	// XComWrites says whose XComs a task may write and delete: "task_instance"
	// (its own), "task" (also other map indexes'), "dag" (any task and run of
	// its dag) or "off" (any that its team may read). Default: task_instance.
	XComWrites string `json:"xcom_writes,omitempty"`

	// GlobalWrites is "allow", or "deny": what has no owner may be read, and not
	// written, deleted, triggered or cleared. Default: allow.
	GlobalWrites string `json:"global_writes,omitempty"`

	// TeamlessTasks is "deny": a task without a team is denied what a team
	// owns; or "allow". Default: deny.
	TeamlessTasks string `json:"teamless_tasks,omitempty"`

	// UnknownRoutes is "deny", or "unsafe_allow": what is below BasePath and
	// not in the table of routes is forwarded. Default: deny.
	UnknownRoutes string `json:"unknown_routes,omitempty"`

	// Documentation is "deny", or "allow": the Execution API's own documentation
	// (docs, redoc, openapi.json, changelog) is served without a token, as
	// upstream does. No worker needs it, and upstream builds some of it anew for
	// each request, which keeps it from tasks. Default: deny.
	Documentation string `json:"documentation,omitempty"`
}

// RuleGroup is a group of rules and its mode: enforce, audit or off.
type RuleGroup struct{ Name, Mode string }

// Groups returns the rule groups.
func (r Rules) Groups() []RuleGroup {
	return []RuleGroup{
		{"variables", r.Variables},
		{"connections", r.Connections},
		{"xcoms", r.XComs},
		{"dags", r.Dags},
		{"assets", r.Assets},
	}
}
