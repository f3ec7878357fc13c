// Package vault keeps, in one folder, what the terminal client remembers between runs: for each
// deployment and user the tokens, and for each device the client's state. Only the owner may read
// it. Several processes may use one vault at the same time.
//
//	FOLDER/DEPLOYMENT/deployment.json         where the deployment is
//	FOLDER/DEPLOYMENT/user-NAME/tokens.json
//	FOLDER/DEPLOYMENT/user-NAME/device-1.json the client's state; device-2 for a second process, …
//	FOLDER/DEPLOYMENT/user-NAME/device-1.lock held by the process that is this device
package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/duet-chat/duet/client"
)

// Vault is a folder. It need not exist yet.
type Vault struct{ Folder string }

// ErrNoAccount says that a user has not signed in on this machine.
var ErrNoAccount = errors.New("not signed in on this machine")

// ErrDamaged says that a file of the vault cannot be understood. The error names it.
var ErrDamaged = errors.New("a file is damaged")

// Deployment is the part of a vault that belongs to one deployment.
type Deployment struct {
	// Where is how the user named it: a base URL, or a file of outputs.
	Where    string
	Endpoint client.Endpoint
	folder   string
}

// At returns the part of a deployment. Its name on disk comes from its WebSocket URL, since that
// is what stays the same however the user names it.
func (v Vault) At(where string, e client.Endpoint) Deployment {
	name := strings.TrimPrefix(strings.TrimPrefix(e.WebSocketURL, "wss://"), "ws://")
	return Deployment{Where: where, Endpoint: e, folder: filepath.Join(v.Folder, safe(name))}
}

// safe makes a name that is no path out of other names.
func safe(name string) string {
	return strings.TrimLeft(strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '-':
			return r
		}
		return '_'
	}, name), ".")
}

const (
	deploymentFile = "deployment.json"
	tokensFile     = "tokens.json"
	userPrefix     = "user-" // "." and ".." are good names of users
)

// Deployments lists what is known, without asking any server.
func (v Vault) Deployments() ([]Deployment, error) {
	found, err := filepath.Glob(filepath.Join(v.Folder, "*", deploymentFile))
	if err != nil {
		return nil, err
	}
	var all []Deployment
	for _, file := range found {
		var d Deployment
		if err := readJSON(file, &d); err != nil {
			return nil, err
		}
		d.folder = filepath.Dir(file)
		all = append(all, d)
	}
	return all, nil
}

// Users lists who has signed in, by name.
func (d Deployment) Users() ([]string, error) {
	found, err := filepath.Glob(filepath.Join(d.folder, userPrefix+"*", tokensFile))
	if err != nil {
		return nil, err
	}
	users := make([]string, len(found))
	for i, file := range found {
		users[i] = strings.TrimPrefix(filepath.Base(filepath.Dir(file)), userPrefix)
	}
	return users, nil
}

func (d Deployment) user(name string) string { return filepath.Join(d.folder, userPrefix+name) }

// tokens is how client.Tokens are written.
type tokens struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh"`
	Expires time.Time `json:"expires"`
}

// Tokens returns a user's tokens, or ErrNoAccount.
func (d Deployment) Tokens(user string) (client.Tokens, error) {
	var t tokens
	err := readJSON(filepath.Join(d.user(user), tokensFile), &t)
	if errors.Is(err, fs.ErrNotExist) {
		return client.Tokens{}, ErrNoAccount
	}
	return client.Tokens(t), err
}

// SaveTokens stores a user's tokens in the place of older ones.
func (d Deployment) SaveTokens(user string, t client.Tokens) error {
	if err := os.MkdirAll(d.user(user), 0o700); err != nil {
		return err
	}
	if err := writeJSON(filepath.Join(d.folder, deploymentFile), d); err != nil {
		return err
	}
	return writeJSON(filepath.Join(d.user(user), tokensFile), tokens(t))
}

// Forget removes a user's tokens. Devices stay: their numbers are needed when the user returns.
func (d Deployment) Forget(user string) error {
	err := os.Remove(filepath.Join(d.user(user), tokensFile))
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoAccount
	}
	return err
}

// BeginErasing notes that the user is being erased, and tells whether that was noted before.
func (d Deployment) BeginErasing(user string) (before bool, _ error) {
	f, err := os.OpenFile(filepath.Join(d.user(user), "erasing"), os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, f.Close()
}

// Erase removes everything that is kept of a user, devices and unsent messages included.
func (d Deployment) Erase(user string) error { return os.RemoveAll(d.user(user)) }

// maxDevices bounds the processes that may be one user at the same time: the backend takes 20
// connections of a user.
const maxDevices = 20

// Device returns the state of the first device of a user that no running process is, and how to
// give it back. A device is used again by the next process, so that what one could not send is
// sent by the next, and the server does not see a new device with every run.
func (d Deployment) Device(user string) (client.State, func(), error) {
	folder := d.user(user)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, nil, err
	}
	for i := 1; i <= maxDevices; i++ {
		name := filepath.Join(folder, fmt.Sprintf("device-%d", i))
		lock, err := os.OpenFile(name+".lock", os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, nil, err
		}
		ok, err := tryLock(lock)
		if err != nil || !ok {
			lock.Close()
			if err != nil {
				return nil, nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
			}
			continue
		}
		state, err := client.OpenFileState(name + ".json")
		if err != nil {
			lock.Close()
			return nil, nil, err
		}
		return state, func() { lock.Close() }, nil // closing unlocks
	}
	return nil, nil, fmt.Errorf("%s is in use by %d processes already: end one of them", user, maxDevices)
}

func readJSON(file string, into any) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%w: %s: %w: remove it and sign in again", ErrDamaged, file, err)
	}
	return nil
}

// writeJSON replaces a file in one step. Files that os.CreateTemp makes are the owner's alone.
func writeJSON(file string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Read reads a file of the deployment that another package owns; ok is false if there is none.
func (d Deployment) Read(name string, into any) (ok bool, _ error) {
	err := readJSON(filepath.Join(d.folder, name), into)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Write writes a file of the deployment that another package owns.
func (d Deployment) Write(name string, v any) error {
	if err := os.MkdirAll(d.folder, 0o700); err != nil {
		return err
	}
	return writeJSON(filepath.Join(d.folder, name), v)
}
