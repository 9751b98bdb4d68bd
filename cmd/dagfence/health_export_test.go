package main

import "net/http"

// AskReady is what dagfence health does.
var AskReady = askReady

// StatusTransport is what dagfence health asks a server with.
func StatusTransport(status string) *http.Transport {
	server, socket, err := parseStatus(status)
	if err != nil {
		panic(err)
	}
	return statusTransport(server, socket)
}
