//go:build race

package test

// raceEnabled: the race detector slows everything down about tenfold, so counts are smaller.
const raceEnabled = true
