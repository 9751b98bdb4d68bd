package proxyconfig

// Overlap reports whether two addresses are one, for the tests.
var Overlap = overlap
