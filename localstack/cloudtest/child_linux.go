package cloudtest

import "syscall"

// childAttributes let a started process end with the test, even when that is killed.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
