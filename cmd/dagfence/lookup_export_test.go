package main

import (
	"github.com/dagfence/dagfence/config"
)

// OpenBus is openBus.
var OpenBus = openBus

// DatabaseOf is what --database does, with the schema of Airflow's tables.
func DatabaseOf(flag string) (database, schema string, err error) {
	settings := config.Config{Database: flag}
	err = complete(&settings)
	return settings.Database, settings.DatabaseSchema, err
}
