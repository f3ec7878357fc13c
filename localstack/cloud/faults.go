package cloud

import (
	"fmt"
	"os"
	"slices"

	"github.com/duet-chat/duet/localstack/fault"
)

// Faults are what fails from the start on. Further ones are set at /_local/faults.
type Faults struct {
	Rules []string // as of fault.Parse
	File  string   // a plan, as of fault.Read; "" for none
	Seed  uint64   // over the file's; 0 leaves that, or draws one
}

// newFaults makes the injector, and reads what is to fail.
func (c *Cloud) newFaults(f Faults, tables []string) (plan fault.Plan, err error) {
	names := fault.Names{Functions: []string{}, Tables: tables, Routes: []string{}}
	for _, function := range c.stack.Load().Functions {
		names.Functions = append(names.Functions, function.Name)
	}
	if c.stack.Load().API != nil {
		for route := range c.stack.Load().API.Routes {
			names.Routes = append(names.Routes, route)
		}
		slices.Sort(names.Routes)
	}
	o := fault.Options{Names: names, Log: c.log, Backup: c.backup, Restore: c.restore}
	if c.stack.Load().API != nil { // made later, but before anything can fail
		o.Cut = func(user string) int { return c.api.Cut(user) }
		o.User = func(connection string) string { return c.api.User(connection) }
	}
	c.faults = fault.New(o)
	if f.File != "" {
		text, err := os.ReadFile(f.File)
		if err != nil {
			return plan, fmt.Errorf("faults cannot be read: %w", err)
		}
		if plan, err = fault.Read(f.File, text, names); err != nil {
			return plan, err
		}
	}
	for _, text := range f.Rules {
		rule, err := fault.Parse(text, names)
		if err != nil {
			return plan, err
		}
		plan.Rules = append(plan.Rules, rule)
	}
	if f.Seed != 0 {
		plan.Seed = f.Seed
	}
	return plan, nil
}

// backup remembers what stands in all tables.
func (c *Cloud) backup() error {
	b, err := c.engine.backup()
	if err != nil {
		return err
	}
	c.deploying.Lock()
	defer c.deploying.Unlock()
	c.saved = b
	return nil
}

// restore puts tables with what was remembered, or empty ones, in the place of all tables, and deploys
// the functions and mappings that name their streams. Clients are cut off, as an operator would: those
// that stayed would go by the earlier epoch until their next sync.
func (c *Cloud) restore() error {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	if err := c.engine.restore(c.saved); err != nil {
		return err
	}
	read, planned, err := c.load()
	if err != nil {
		return err
	}
	functions, err := c.fleet.start(c.background, read.Functions, c.current, nil)
	if err != nil {
		return err
	}
	if err := c.install(read, planned, functions); err != nil {
		return err
	}
	if c.api != nil {
		c.api.Cut("")
	}
	return nil
}
