// Command upstream stands for an api-server in its image: it takes its arguments,
// answers every request, and prints what has arrived.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError) // after the name of Airflow's command
	host := flags.String("host", "", "address to listen on")
	port := flags.String("port", "8080", "port to listen on")
	_ = flags.Parse(os.Args[2:]) // ExitOnError
	// What has process id 1 is ended by no signal that it does not handle.
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() {
		<-ended
		os.Exit(0)
	}()
	fmt.Println(http.ListenAndServe(net.JoinHostPort(*host, *port), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.RequestURI)
		_, _ = io.WriteString(w, `{"from":"upstream"}`)
	})))
}
