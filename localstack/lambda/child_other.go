//go:build !linux

package lambda

import (
	"os"
	"syscall"
)

// childAttributes has nothing to offer here: when this process is killed, a function's process
// notices that its Runtime API is gone, and ends by itself.
func childAttributes() *syscall.SysProcAttr { return nil }

// peakMemory is not known here.
func peakMemory(*os.Process) int64 { return 0 }
