//go:build !race

package test

// raceEnabled tells whether the race detector runs.
const raceEnabled = false
