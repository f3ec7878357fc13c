package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/duet-chat/duet/localstack/lambda"
	"github.com/duet-chat/duet/localstack/remote"
)

// userPools are the stack's: the embedded ones, or some elsewhere.
type userPools interface {
	http.Handler
	Close() error
}

// openUserPools finds the user pools at the URL of the configuration. Embedded ones are made later: they
// need nobody before functions run.
func (c *Cloud) openUserPools(ctx context.Context) error {
	if c.config.Cognito == "" {
		if len(c.config.CognitoIDs) > 0 {
			return errors.New("--cognito-id is for user pools elsewhere: give their URL with --cognito")
		}
		return nil
	}
	if err := c.notItself("--cognito", c.config.Cognito); err != nil {
		return err
	}
	pools, err := remote.OpenUserPools(ctx, remote.UserPoolsOptions{URL: c.config.Cognito, Invoker: lateInvoker{c}, Log: c.log})
	if err != nil {
		return fmt.Errorf("--cognito: %w", err)
	}
	c.pools = pools
	return nil
}

// lateInvoker invokes functions that are not there yet when it is made.
type lateInvoker struct{ cloud *Cloud }

// Invoke implements lambda.Invoker.
func (l lateInvoker) Invoke(ctx context.Context, function string, event []byte) (lambda.Result, error) {
	return l.cloud.invoker.Invoke(ctx, function, event)
}

// standsFor tells whether requests to a host are for the user pools, though nobody is to leave the machine
// for it: emulators sign tokens in the name of AWS's hosts.
func (c *Cloud) standsFor(host string) bool {
	pools, ok := c.pools.(*remote.UserPools)
	return ok && pools.StandsFor(host)
}
