package main

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

// home is the folder of everything that is kept:
//
//	HOME/<deployment>/<user>/credentials.json   the refresh token and the last access token
//	HOME/<deployment>/<user>/state.json         what the device remembers
//	HOME/<deployment>/<user>/lock               held by the program that uses the device
type home struct{ folder string }

func (a *app) home() (home, error) {
	if dir := a.getenv("DUET_HOME"); dir != "" {
		return home{dir}, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return home{}, &problem{exitUsage, "Set DUET_HOME.", err}
	}
	return home{filepath.Join(dir, "duet")}, nil
}

// profile is one account at one deployment.
type profile struct {
	folder string
	user   string
}

// deploymentName makes a folder's name of a deployment: its WebSocket URL tells them apart.
func deploymentName(e client.Endpoint) string {
	_, rest, _ := strings.Cut(e.WebSocketURL, "://")
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, rest)
}

func (h home) profile(e client.Endpoint, user string) profile {
	return profile{folder: filepath.Join(h.folder, deploymentName(e), user), user: user}
}

// users lists the accounts at a deployment.
func (h home) users(e client.Endpoint) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(h.folder, deploymentName(e)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var users []string
	for _, entry := range entries {
		if _, err := os.Stat(filepath.Join(h.folder, deploymentName(e), entry.Name(), credentialsFile)); err == nil {
			users = append(users, entry.Name())
		}
	}
	return users, err
}

const credentialsFile = "credentials.json"

// credentials are stored readable for this user of the machine only.
type credentials struct {
	Access  string    `json:"access_token"`
	Refresh string    `json:"refresh_token"`
	Expires time.Time `json:"expires"`
}

func (p profile) load() (client.Tokens, error) {
	raw, err := os.ReadFile(filepath.Join(p.folder, credentialsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return client.Tokens{}, &problem{exitSignedOut,
			fmt.Sprintf("Make an account with: duet signup %s   or, if there is one: duet signin %s", p.user, p.user),
			fmt.Errorf("%s is not signed in here", p.user)}
	}
	if err != nil {
		return client.Tokens{}, err
	}
	var c credentials
	if err := json.Unmarshal(raw, &c); err != nil {
		return client.Tokens{}, &problem{exitSignedOut, "Sign in again: duet signin " + p.user, fmt.Errorf("%s is damaged: %w", filepath.Join(p.folder, credentialsFile), err)}
	}
	return client.Tokens{Access: c.Access, Refresh: c.Refresh, Expires: c.Expires}, nil
}

func (p profile) save(t client.Tokens) error {
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return err
	}
	raw, err := json.Marshal(credentials{Access: t.Access, Refresh: t.Refresh, Expires: t.Expires})
	if err != nil {
		return err
	}
	temporary, err := os.CreateTemp(p.folder, credentialsFile+".*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = temporary.Write(raw)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), filepath.Join(p.folder, credentialsFile))
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}

// device opens what the account's device on this machine remembers. Two programs must not use one
// device at once: the second gets one of its own, which remembers nothing (fresh).
func (p profile) device() (state client.State, release func(), fresh bool, err error) {
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return nil, nil, false, err
	}
	release, locked, err := lock(filepath.Join(p.folder, "lock"))
	if err != nil {
		return nil, nil, false, err
	}
	if !locked {
		return client.NewMemoryState(), func() {}, true, nil
	}
	if state, err = client.OpenFileState(filepath.Join(p.folder, "state.json")); err != nil {
		release()
		return nil, nil, false, err
	}
	return state, release, false, nil
}
