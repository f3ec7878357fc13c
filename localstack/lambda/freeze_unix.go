//go:build unix

package lambda

import (
	"os"
	"syscall"
)

// freeze stops a process wherever it is, and reports whether it did. An error means that it is ending.
func freeze(p *os.Process) bool { return p.Signal(syscall.SIGSTOP) == nil }

// thaw lets a stopped process go on. An error means that it has ended.
func thaw(p *os.Process) { _ = p.Signal(syscall.SIGCONT) }
