package main

// JoinBus is what --redis and --cache-key-file do.
var JoinBus = joinBus

// DatabaseOf is what --database does.
var DatabaseOf = databaseOf
