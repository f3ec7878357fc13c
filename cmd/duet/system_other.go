//go:build !unix

package main

import "time"

// processCPU is the processor time that this process has used, 0 where the system does not tell.
func processCPU() time.Duration { return 0 }

func sleepBriefly(d time.Duration) { time.Sleep(d) }
