//go:build !unix

package lambda

import "os"

// freeze has no means here: what a handler left running goes on.
func freeze(*os.Process) bool { return false }

func thaw(*os.Process) {}
