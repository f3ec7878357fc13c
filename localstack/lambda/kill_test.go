package lambda_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/duet-chat/duet/localstack/caller"
	"github.com/duet-chat/duet/localstack/lambda"
)

// A killed invocation is a crash for its caller, at once, and its context ends for the handler, which
// knows its invocation's id.
func TestInProcessIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan string, 1)
		p := inProcess(t, lambda.Options{}, func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			ended <- caller.Invocation(ctx)
			return []byte("nobody hears this"), nil
		})
		ctx, cancel := context.WithCancelCause(caller.WithInvocation(t.Context(), "1-2-3"))
		cancel(lambda.ErrKilled)
		result, err := p.Invoke(ctx, "Fn", nil)
		if err != nil || result.FunctionError != "Unhandled" || result.ErrorType != "Runtime.ExitError" {
			t.Errorf("Invoke = %+v, %v, want a crash", result, err)
		}
		if got := <-ended; got != "1-2-3" {
			t.Errorf("the handler's invocation = %q, want 1-2-3", got)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
