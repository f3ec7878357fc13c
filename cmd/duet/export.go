package main

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/duet-chat/duet/client"
)

type exportCmd struct {
	Out string `short:"o" placeholder:"FILE" help:"Write to this file, which appears once it is complete. Default: standard output."`
}

// Run writes everything that the server keeps about the user.
func (c *exportCmd) Run(ctx context.Context, a *app) error {
	acc, err := a.account(ctx)
	if err != nil {
		return err
	}
	s, err := a.connect(ctx, acc, false, client.Config{})
	if err != nil {
		return err
	}
	defer s.close()
	online, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	if err := s.WaitOnline(online); err != nil {
		return s.explain(err)
	}
	if c.Out == "" {
		return s.export(ctx, a.out)
	}
	return s.exportTo(ctx, c.Out)
}

func (s *session) export(ctx context.Context, to io.Writer) error {
	if err := s.Export(ctx, to); err != nil {
		return s.explain(err)
	}
	return nil
}

// exportTo writes a file that only the owner may read, and that is there once it is complete.
func (s *session) exportTo(ctx context.Context, name string) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	err = s.export(ctx, f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	s.app.note("all data of %s is in %s", s.account.user, name)
	return nil
}
