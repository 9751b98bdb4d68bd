package keyring

// OpenWith opens a keyring that fetches through a transport of the test's.
var OpenWith = open
