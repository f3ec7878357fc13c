//go:build unix && !aix && !solaris

package vault

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks a file for this process until it is closed, unless another one has.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
