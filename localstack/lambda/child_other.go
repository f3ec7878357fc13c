//go:build !linux

package lambda

import "syscall"

// childAttributes has nothing to offer here: when this process is killed, a function's process
// notices that its Runtime API is gone, and ends by itself.
func childAttributes() *syscall.SysProcAttr { return nil }
