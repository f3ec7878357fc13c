//go:build unix

package main

import (
	"syscall"
	"time"
)

// processCPU is the processor time that this process has used, 0 where the system does not tell.
func processCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// sleepBriefly sleeps more precisely than Go's timers: an idle process waits for those in its
// poller, which counts in milliseconds.
func sleepBriefly(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	// An interrupted sleep is as good as a short one: the caller looks at the clock again.
	_ = syscall.Nanosleep(&t, nil)
}
