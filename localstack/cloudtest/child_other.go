//go:build !linux

package cloudtest

import "syscall"

// childAttributes has nothing to offer here: a test that is killed leaves the process behind.
func childAttributes() *syscall.SysProcAttr { return nil }
