package lambda

import "syscall"

// childAttributes let a function's process end with this one, even when that is killed, and keep
// a terminal's Ctrl-C from it: Close ends it in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
