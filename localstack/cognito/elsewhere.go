package cognito

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/duet-chat/duet/localstack/lambda"
)

// Triggers calls the functions of pools that are elsewhere, as Cognito calls those of its own.
type Triggers struct{ pools *Pools }

// NewTriggers makes triggers; region is the one that events name.
func NewTriggers(invoker lambda.Invoker, region string, log *slog.Logger) *Triggers {
	return &Triggers{&Pools{invoker: invoker, region: region, log: log}}
}

// Occasion is what a trigger is called for.
type Occasion struct {
	Pool       Pool
	Client     string // id; "" for an administrator's operation
	Username   string
	Attributes map[string]string
	Validation map[string]string
	Metadata   map[string]string
}

func (o Occasion) trigger() trigger {
	client := o.Client
	if client == "" {
		client = noClient
	}
	return trigger{
		pool: &pool{Pool: o.Pool}, client: client, metadata: o.Metadata,
		user: &user{Name: o.Username, Attributes: o.Attributes, Sub: o.Attributes["sub"], Status: confirmed},
	}
}

// PreSignUp asks the PreSignUp trigger whether a user may sign up, and whether it is confirmed by that.
func (t *Triggers) PreSignUp(ctx context.Context, o Occasion) (autoConfirm bool, err error) {
	var validation []attribute
	for name, value := range o.Validation {
		validation = append(validation, attribute{name, value})
	}
	verdict, err := t.pools.preSignUp(ctx, o.trigger(), validation)
	return verdict.AutoConfirmUser, err
}

// PostConfirmation tells the PostConfirmation trigger of a user who is confirmed.
func (t *Triggers) PostConfirmation(ctx context.Context, o Occasion) error {
	return t.pools.postConfirmation(ctx, o.trigger())
}

// Refuse answers with an error: with what a trigger refused, or else with Cognito's internal error, whose
// cause is for the caller to log.
func Refuse(w http.ResponseWriter, err error) {
	var refusal *apiError
	if !errors.As(err, &refusal) {
		refusal = internal(err)
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Amzn-ErrorType", refusal.kind+":")
	// A header is one line of ASCII; the text proper is in the body.
	h.Set("X-Amzn-ErrorMessage", headerText(refusal.message))
	status := http.StatusBadRequest
	if refusal.kind == internalError {
		status = http.StatusInternalServerError
	}
	w.WriteHeader(status)
	// Encoding two strings cannot fail.
	body, _ := encode(map[string]string{"__type": refusal.kind, "message": refusal.message})
	_, _ = w.Write(body) // the client is gone if this fails
}
