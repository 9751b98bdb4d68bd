package main

// ConfiguredFences returns the fences of a configuration file.
var ConfiguredFences = configuredFences
