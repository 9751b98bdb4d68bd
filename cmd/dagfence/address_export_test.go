package main

// For the tests of addresses.
var (
	CheckListen   = checkListen
	ParseUpstream = parseUpstream
	Overlap       = overlap
	HostOf        = hostOf
)
