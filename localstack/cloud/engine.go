package cloud

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/remote"
	"github.com/duet-chat/duet/localstack/streams"
	"github.com/duet-chat/duet/localstack/template"
)

// engine has the stack's tables: the embedded DynamoDB, or one elsewhere.
type engine interface {
	dynamodb.Doer
	plan(ctx context.Context) tablePlan
	stream(arn string) (streams.Source, error)
	// strangers refuses a plan whose tables would stand among another stack's alone.
	strangers(p tablePlan) error
	backup() (*dynamodb.Backup, error)
	restore(*dynamodb.Backup) error
	// run does what is to be done now and then, until ctx ends.
	run(ctx context.Context)
	Close() error
}

// tablePlan is tables that are to be there.
type tablePlan interface {
	Table(dynamodb.TableSpec) (dynamodb.TableInfo, error)
	Names() []string
	Missing() []string // that are not there yet
	Apply() error
}

// openEngine opens the embedded DynamoDB, or finds the one at the URL of the configuration.
func (c *Cloud) openEngine(ctx context.Context) (engine, error) {
	if c.config.DynamoDB == "" {
		db, err := dynamodb.New(dynamodb.Options{Store: c.store, Region: Region, Account: Account, Now: time.Now, Meter: c.meter, Log: c.log})
		if err != nil {
			return nil, err
		}
		return &embedded{DB: db, cloud: c}, nil
	}
	if err := c.notItself("--dynamodb", c.config.DynamoDB); err != nil {
		return nil, err
	}
	db, err := remote.OpenDynamoDB(ctx, remote.DynamoDBOptions{URL: c.config.DynamoDB, Poll: c.config.StreamDelay, Meter: c.meter, Log: c.log})
	if err != nil {
		return nil, fmt.Errorf("--dynamodb: %w", err)
	}
	return elsewhere{db}, nil
}

// notItself refuses this local cloud as an engine behind itself: it does not answer before it is ready.
func (c *Cloud) notItself(flag, url string) error {
	for _, own := range []string{c.url, "http://" + c.address, strings.Replace(c.url, "http:", "https:", 1)} {
		if strings.TrimSuffix(url, "/") == own {
			return fmt.Errorf("%s %s is this local cloud itself: choose another port for one of the two", flag, url)
		}
	}
	return nil
}

// embedded is the DynamoDB in this process.
type embedded struct {
	*dynamodb.DB
	cloud *Cloud
}

type embeddedPlan struct {
	*dynamodb.Plan
	db *dynamodb.DB
}

// Missing implements tablePlan.
func (p embeddedPlan) Missing() []string { return slices.DeleteFunc(p.Names(), p.db.HasTable) }

func (e *embedded) plan(context.Context) tablePlan { return embeddedPlan{e.NewPlan(), e.DB} }

func (e *embedded) stream(arn string) (streams.Source, error) {
	s, err := e.Stream(arn)
	if err != nil {
		return nil, err
	}
	return s.Source(), nil
}

func (e *embedded) strangers(p tablePlan) error {
	others := p.(embeddedPlan).Strangers()
	if dir := e.cloud.config.Dir; len(others) > 0 && dir != "" {
		return fmt.Errorf("the data folder %s is another stack's: it has the tables %s, and none of this template's: choose another folder with --data, or empty this one",
			dir, strings.Join(others, ", "))
	}
	return nil
}

func (e *embedded) backup() (*dynamodb.Backup, error) { return e.Backup() }

func (e *embedded) restore(b *dynamodb.Backup) error { return e.Restore(b) }

// sweepEvery is how often expired items are looked for: AWS takes up to days.
const sweepEvery = 5 * time.Minute

func (e *embedded) run(ctx context.Context) {
	for sleep(ctx, sweepEvery) == nil {
		if err := e.Sweep(); err != nil {
			e.cloud.log.ErrorContext(ctx, "expired items cannot be removed", "error", err)
		}
	}
}

// elsewhere is a DynamoDB at a URL. It keeps its tables itself, and others may use it too.
type elsewhere struct{ *remote.DynamoDB }

func (e elsewhere) plan(ctx context.Context) tablePlan { return e.NewPlan(ctx) }

func (e elsewhere) stream(arn string) (streams.Source, error) { return e.Stream(arn), nil }

func (elsewhere) strangers(tablePlan) error { return nil }

func (e elsewhere) backup() (*dynamodb.Backup, error) { return nil, e.noBackup() }

func (e elsewhere) restore(*dynamodb.Backup) error { return e.noBackup() }

func (e elsewhere) noBackup() error {
	return fmt.Errorf("the tables are at %s: backup and restore need the embedded DynamoDB, run without --dynamodb", e.URL())
}

func (elsewhere) run(context.Context) {} // it removes expired items itself

func (elsewhere) Close() error { return nil }

// provide makes what engines elsewhere are to have for a stack, once it is known that all of the template
// can be run, and reads the template again: only now are their ARNs and ids known.
func (c *Cloud) provide(read *template.Stack, planned tablePlan) (*template.Stack, tablePlan, error) {
	_, tables := c.engine.(elsewhere)
	tables = tables && len(planned.Missing()) > 0
	if tables {
		if err := planned.Apply(); err != nil {
			return nil, nil, fmt.Errorf("--dynamodb %s: %w", c.config.DynamoDB, err)
		}
	}
	pools, users := c.pools.(*remote.UserPools)
	users = users && c.identities.IDs == nil
	if users {
		provided, err := pools.Provide(c.background, read.Pools, c.config.CognitoIDs)
		if err != nil {
			return nil, nil, fmt.Errorf("--cognito %s: %w", c.config.Cognito, err)
		}
		c.identities = template.UserPools{IDs: provided.IDs, Issuers: provided.Issuers}
	}
	if !tables && !users {
		return read, planned, nil
	}
	return c.load()
}
