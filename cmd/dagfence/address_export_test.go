package main

// For the tests of addresses.
var (
	CheckListen   = checkListen
	ParseUpstream = parseUpstream
	HostOf        = hostOf
)
