package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duet-chat/duet/client"
	"github.com/duet-chat/duet/cmd/duet/vault"
)

// crowdFile keeps the accounts of the load at a deployment for the next run.
const crowdFile = "bench.json"

// savedCrowd is that file. The names begin with a random word, so that two machines do not meet
// at one deployment.
type savedCrowd struct {
	Prefix   string            `json:"prefix"`
	Password string            `json:"password"`
	Refresh  map[string]string `json:"refresh"` // tokens by user
}

// crowd signs up, or in, n users, and returns a client's configuration for each. Their devices
// are new in each run.
func (a *app) crowd(ctx context.Context, d vault.Deployment, n int) ([]client.Config, error) {
	var saved savedCrowd
	if _, err := d.Read(crowdFile, &saved); err != nil {
		return nil, err
	}
	if saved.Prefix == "" {
		saved = savedCrowd{Prefix: "bench-" + strings.ToLower(rand.Text()[:6]) + "-", Password: rand.Text()}
	}
	if saved.Refresh == nil {
		saved.Refresh = map[string]string{}
	}
	accounts := client.NewAccounts(d.Endpoint, nil)
	configs := make([]client.Config, n)
	var (
		mu   sync.Mutex // guards made and saved.Refresh
		made int
	)
	// Checking a password is made to be slow: more at once only keeps the server's memory busy.
	g, joining := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range configs {
		user := fmt.Sprintf("%s%04d", saved.Prefix, i+1)
		g.Go(func() error {
			mu.Lock()
			refresh := saved.Refresh[user]
			mu.Unlock()
			tokens, err := join(joining, accounts, user, saved.Password, refresh)
			if err != nil {
				return fmt.Errorf("%s: %w", user, err)
			}
			configs[i] = client.Config{URL: d.Endpoint.WebSocketURL, User: user, Tokens: accounts.Source(tokens, nil), NoDelivered: true}
			mu.Lock()
			defer mu.Unlock()
			saved.Refresh[user] = tokens.Refresh
			if made++; made%100 == 0 {
				a.note("%d of %d users are signed in", made, n)
			}
			return nil
		})
	}
	err := g.Wait()
	return configs, errors.Join(err, d.Write(crowdFile, saved))
}

// join gets tokens for a user of the crowd: by the refresh token of an earlier run, or by the
// password, or by a new account. In-memory deployments forget accounts.
func join(ctx context.Context, accounts *client.Accounts, user, password, refresh string) (client.Tokens, error) {
	if refresh != "" {
		if tokens, err := accounts.Refresh(ctx, refresh); !errors.Is(err, client.ErrBadCredentials) {
			return tokens, err
		}
	}
	err := accounts.SignUp(ctx, user, password)
	if err != nil && !errors.Is(err, client.ErrUserExists) {
		return client.Tokens{}, err
	}
	return accounts.SignIn(ctx, user, password)
}

// devicesPerUser is how many idle connections one user holds: a deployment's default limit is 20,
// and what an interrupted run has left counts for a while.
const devicesPerUser = 16

// idle holds idle connections and reports what the server holds for them.
func (c *benchCmd) idle(ctx context.Context, a *app, d vault.Deployment) error {
	users, err := a.crowd(ctx, d, (c.Idle+devicesPerUser-1)/devicesPerUser)
	if err != nil {
		return err
	}
	before, known := residentBytes(ctx, a.Endpoint)
	clients := make([]*client.Client, c.Idle)
	defer func() {
		var wg sync.WaitGroup
		for _, c := range clients {
			if c != nil {
				wg.Go(func() { _ = c.Close() })
			}
		}
		wg.Wait()
	}()
	var g errgroup.Group
	g.SetLimit(32)
	for i := range clients {
		g.Go(func() (err error) {
			cfg := users[i/devicesPerUser]
			// Idle devices number no messages, so they may have the same ids in each run, and
			// replace what an interrupted one has left.
			cfg.Device = fmt.Sprintf("idle-%02d", i%devicesPerUser)
			clients[i], err = online(ctx, cfg)
			return err
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
	after, _ := residentBytes(ctx, a.Endpoint)
	return c.reportIdle(a, before, after, known)
}

func (c *benchCmd) reportIdle(a *app, before, after int64, known bool) error {
	each := float64(after-before) / 1024 / float64(c.Idle)
	switch {
	case a.JSON && known:
		return a.object(struct {
			Type        string  `json:"type"`
			Connections int     `json:"connections"`
			Before      int64   `json:"resident_before"`
			After       int64   `json:"resident_after"`
			Each        float64 `json:"kib_per_connection"`
		}{"idle", c.Idle, before, after, each})
	case a.JSON:
		return a.object(struct {
			Type        string `json:"type"`
			Connections int    `json:"connections"`
		}{"idle", c.Idle})
	case known && after <= before:
		return a.line("%d connections were idle for %v, in memory that the server had left from earlier work (%.1f MiB): measure one that has just been started.",
			c.Idle, c.Settle, float64(before)/(1<<20))
	case known:
		return a.line("%d idle connections: %.1f KiB each (the server's resident memory went from %.1f to %.1f MiB)",
			c.Idle, each, float64(before)/(1<<20), float64(after)/(1<<20))
	}
	return a.line("%d connections were idle for %v. This endpoint does not tell its memory: read the server's resident set before and during a run (ps -o rss PID).", c.Idle, c.Settle)
}

// residentBytes asks a local cloud for its memory.
func residentBytes(ctx context.Context, endpoint string) (bytes int64, known bool) {
	if !isURL(endpoint) {
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
