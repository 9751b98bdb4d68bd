// Command panics logs as the fence does, and panics in a goroutine.
package main

import (
	"fmt"

	"github.com/dagfence/dagfence/caddymodule"
)

func main() {
	log, err := caddymodule.StderrQueue{}.OpenWriter()
	if err != nil {
		panic(err)
	}
	for i := range 20 {
		fmt.Fprintf(log, "entry %d\n", i)
	}
	go panic("the last word")
	select {}
}
