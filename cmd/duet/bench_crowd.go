package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duet-chat/duet/client"
)

// crowd signs up, or in, users bench-0001 and on, and returns a client's configuration for each.
// Their accounts stay for the next run; each run's devices are new.
func (a *app) crowd(ctx context.Context, d deployment, n int) ([]client.Config, error) {
	password, err := d.home.benchPassword()
	if err != nil {
		return nil, err
	}
	var made atomic.Int64
	progress := func() {
		if k := made.Add(1); k%100 == 0 && !a.commandLine.JSON {
			fmt.Fprintf(a.stderr, "%d of %d users are signed in\n", k, n)
		}
	}
	configs := make([]client.Config, n)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range configs {
		g.Go(func() error {
			user := fmt.Sprintf("bench-%04d", i+1)
			tokens, err := d.join(ctx, user, password)
			if err != nil {
				return fmt.Errorf("%s: %w", user, err)
			}
			configs[i] = client.Config{URL: d.endpoint.WebSocketURL, User: user, Tokens: d.accounts.Source(tokens, nil), State: client.NewMemoryState()}
			progress()
			return nil
		})
	}
	return configs, g.Wait()
}

// join signs in a user of the crowd, who is signed up when new. A stored token that is good for a
// while is used again, as long as the deployment still knows the account.
func (d deployment) join(ctx context.Context, user, password string) (client.Tokens, error) {
	p := d.home.profile(d.endpoint, user)
	tokens, err := d.accounts.SignIn(ctx, user, password)
	if errors.Is(err, client.ErrBadCredentials) {
		if err = d.accounts.SignUp(ctx, user, password); err != nil {
			return tokens, err
		}
		tokens, err = d.accounts.SignIn(ctx, user, password)
	}
	if err != nil {
		return tokens, err
	}
	return tokens, p.save(tokens)
}

// benchPassword is the password of the crowd's accounts, made once for this home.
func (h home) benchPassword() (string, error) {
	file := filepath.Join(h.folder, "bench-password")
	raw, err := os.ReadFile(file)
	if err == nil && len(raw) > 0 {
		return string(raw), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(h.folder, 0o700); err != nil {
		return "", err
	}
	password := rand.Text()
	return password, os.WriteFile(file, []byte(password), 0o600)
}

// devicesPerUser is how many idle connections one user holds: a deployment's default limit is 20.
const devicesPerUser = 20

// idle holds idle connections and reports what the server holds for them.
func (c *benchCmd) idle(ctx context.Context, a *app, d deployment) error {
	users, err := a.crowd(ctx, d, (c.Idle+devicesPerUser-1)/devicesPerUser)
	if err != nil {
		return err
	}
	before, known := residentBytes(ctx, a.commandLine.Endpoint)
	sessions := make([]*session, c.Idle)
	defer func() {
		var g errgroup.Group
		g.SetLimit(64)
		for _, s := range sessions {
			if s != nil {
				g.Go(func() error { s.close(); return nil })
			}
		}
		_ = g.Wait()
	}()
	var g errgroup.Group
	g.SetLimit(32)
	for i := range sessions {
		g.Go(func() (err error) {
			cfg := users[i/devicesPerUser]
			cfg.State = client.NewMemoryState()
			if sessions[i], err = start(ctx, cfg, func() {}); err != nil {
				return err
			}
			return sessions[i].online(ctx)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	select {
	case <-time.After(c.Settle): // the time is the subject: how much memory idle connections keep
	case <-ctx.Done():
		return ctx.Err()
	}
	after, _ := residentBytes(ctx, a.commandLine.Endpoint)
	each := float64(after-before) / 1024 / float64(c.Idle)
	if a.commandLine.JSON {
		a.print(map[string]any{"type": "idle", "connections": c.Idle, "known": known, "resident_before": before, "resident_after": after, "kib_per_connection": each})
		return nil
	}
	if !known {
		fmt.Fprintf(a.stdout, "%d connections are idle. This endpoint does not tell its memory: measure the server's resident set before and after.\n", c.Idle)
		return nil
	}
	fmt.Fprintf(a.stdout, "%d idle connections: %.1f KiB each (the server's resident set went from %d to %d MB)\n", c.Idle, each, before>>20, after>>20)
	return nil
}

// residentBytes asks a local cloud for its memory.
func residentBytes(ctx context.Context, endpoint string) (bytes int64, known bool) {
	if !strings.HasPrefix(endpoint, "http") {
		return 0, false
	}
	where, err := url.JoinPath(endpoint, "_local", "health")
	if err != nil {
		return 0, false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return 0, false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, false
	}
	defer resp.Body.Close()
	var health struct {
		Resident int64 `json:"resident_bytes"`
	}
	err = json.NewDecoder(resp.Body).Decode(&health)
	return health.Resident, err == nil && health.Resident > 0
}
