package cloud

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/duet-chat/duet/localstack/streams"
	"github.com/duet-chat/duet/localstack/template"
)

// load reads the template and plans its tables; nothing is made.
func (c *Cloud) load() (*template.Stack, tablePlan, error) {
	planned := c.engine.plan(c.background)
	read, err := template.Load(c.config.Template, template.Options{
		Parameters: c.config.Parameters, Suggested: c.config.Suggested, Stack: c.config.Stack, Region: Region, Account: Account,
		Host: strings.TrimPrefix(c.url, "http://"), CreateTable: planned.Table, UserPools: c.identities,
		CheckTables: func() error { return c.engine.strangers(planned) },
	})
	return read, planned, err
}

// install puts a stack, whose functions have been started, in the place of the one that runs. Only a
// fault of the machine makes it fail.
func (c *Cloud) install(next *template.Stack, planned tablePlan, functions runningFunctions) error {
	if err := planned.Apply(); err != nil {
		return err
	}
	c.guard.Set(next.Policies)
	c.functions.Set(functions.runners)
	c.current = functions
	errs := []error{c.invocations.SetFunctions(next.Functions), c.setMappings(next.Mappings)}
	if next.API != nil {
		errs = append(errs, c.api.Deploy(*next.API))
	}
	c.stack.Store(next)
	return errors.Join(errs...)
}

// runningMapping is an event source mapping that runs.
type runningMapping struct {
	streams.Mapping
	end   context.CancelFunc
	ended chan struct{}
}

// setMappings ends the mappings that are not the same any more and starts the new ones, each where the
// one of its name was.
func (c *Cloud) setMappings(mappings []streams.Mapping) error {
	next := map[string]*runningMapping{}
	options := map[string]streams.Options{}
	for _, m := range mappings {
		if old := c.mappings[m.Name]; old != nil && old.Mapping.Equal(m) {
			next[m.Name] = old
			continue
		}
		o, err := c.mappingOptions(m)
		if err != nil {
			return err
		}
		options[m.Name] = o
	}
	for name, old := range c.mappings {
		if next[name] == nil {
			old.end()
			<-old.ended
		}
	}
	for _, m := range mappings {
		if next[m.Name] != nil {
			continue
		}
		if err := (checkpoints{c.store, m.StreamARN}).forgetOthers(m.Name); err != nil {
			return fmt.Errorf("event source mapping %s: forget what it read before: %w", m.Name, err)
		}
		ctx, end := context.WithCancel(c.background)
		started := &runningMapping{Mapping: m, end: end, ended: make(chan struct{})}
		next[m.Name] = started
		c.running.Go(func() {
			defer close(started.ended)
			_ = streams.Run(ctx, m, options[m.Name]) // it logs what stops it
		})
	}
	c.mappings = next
	return nil
}

// mappingOptions is what a mapping needs to run.
func (c *Cloud) mappingOptions(m streams.Mapping) (streams.Options, error) {
	source, err := c.engine.stream(m.StreamARN)
	if err != nil {
		return streams.Options{}, fmt.Errorf("event source mapping %s: %w", m.Name, err)
	}
	poll := c.config.StreamDelay
	if c.config.DynamoDB != "" {
		poll = 0 // its source polls the engine
	}
	return streams.Options{
		Source: c.guard.Source(m.Function, m.StreamARN, source), Invoker: c.faults.Batches(c.invoker),
		Checkpoints: checkpoints{c.store, m.StreamARN}, Failures: c.guard.Failures(m.Function, c.queues),
		Poll: poll, Now: time.Now, Sleep: sleep, Jitter: func(d time.Duration) time.Duration { return rand.N(d) + 1 }, Meter: c.meter, Log: c.log,
	}, nil
}
