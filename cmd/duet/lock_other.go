//go:build !unix

package main

// lock locks nothing where there is no flock: of two programs on one device, the newer replaces
// the older.
func lock(string) (release func(), locked bool, err error) { return func() {}, true, nil }
