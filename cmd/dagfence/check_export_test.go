package main

// ConfiguredFences are the fences of a configuration file.
var ConfiguredFences = configuredFences
