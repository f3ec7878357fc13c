// Mute starts and never asks for an invocation; or ends at once, as EXIT says.
package main

import (
	"os"
	"os/signal"
	"strconv"
)

func main() {
	if code := os.Getenv("EXIT"); code != "" {
		n, err := strconv.Atoi(code)
		if err != nil {
			panic(err)
		}
		os.Exit(n)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, os.Interrupt)
	<-term
}
