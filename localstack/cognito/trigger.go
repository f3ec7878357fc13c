package cognito

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/duet-chat/duet/localstack/lambda"
)

// How Cognito calls triggers. Source: Cognito developer guide, "Customizing user pool workflows with
// Lambda triggers", things to know.
const (
	triggerTimeout  = 5 * time.Second
	triggerAttempts = 3 // all of them only when the function does not answer in time

	// noClient stands in events of administrators' operations. Observed in public captures.
	noClient = "CLIENT_ID_NOT_APPLICABLE"
)

// trigger is the occasion on which functions are called.
type trigger struct {
	pool     *pool
	client   string
	user     *user
	metadata map[string]string
}

// triggerEvent is what every trigger's event has.
// Source: Cognito developer guide, "User pool Lambda trigger event".
type triggerEvent struct {
	Version       string         `json:"version"`
	Region        string         `json:"region"`
	UserPoolID    string         `json:"userPoolId"`
	UserName      string         `json:"userName"`
	CallerContext callerContext  `json:"callerContext"`
	TriggerSource string         `json:"triggerSource"`
	Request       triggerRequest `json:"request"`
	Response      any            `json:"response"`
}

type callerContext struct {
	SDKVersion string `json:"awsSdkVersion"`
	ClientID   string `json:"clientId"`
}

type triggerRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	ValidationData map[string]string `json:"validationData,omitempty"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
}

// preSignUpVerdict is PreSignUp's response.
type preSignUpVerdict struct {
	AutoConfirmUser bool `json:"autoConfirmUser"`
	AutoVerifyEmail bool `json:"autoVerifyEmail"`
	AutoVerifyPhone bool `json:"autoVerifyPhone"`
}

// preSignUp asks the PreSignUp trigger; without one nothing is confirmed.
func (p *Pools) preSignUp(ctx context.Context, t trigger, validation []attribute) (preSignUpVerdict, error) {
	if t.pool.PreSignUp == "" {
		return preSignUpVerdict{}, nil
	}
	request := triggerRequest{UserAttributes: t.user.Attributes, ClientMetadata: t.metadata}
	for _, a := range validation {
		if request.ValidationData == nil {
			request.ValidationData = make(map[string]string, len(validation))
		}
		request.ValidationData[a.Name] = a.Value
	}
	var answer struct{ Response *preSignUpVerdict }
	err := p.call(ctx, t, "PreSignUp", "PreSignUp_SignUp", t.pool.PreSignUp, request, preSignUpVerdict{}, &answer)
	if err == nil && answer.Response == nil {
		err = unrecognizable()
	}
	if err != nil {
		return preSignUpVerdict{}, err
	}
	return *answer.Response, nil
}

// postConfirmation tells the PostConfirmation trigger of a user who is confirmed. The user stands in
// the store by then, so the trigger runs even when the caller has gone.
func (p *Pools) postConfirmation(ctx context.Context, t trigger) error {
	if t.pool.PostConfirmation == "" {
		return nil
	}
	attributes := maps.Clone(t.user.Attributes)
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes["sub"], attributes["cognito:user_status"] = t.user.Sub, t.user.Status
	request := triggerRequest{UserAttributes: attributes, ClientMetadata: t.metadata}
	var answer map[string]json.RawMessage
	return p.call(context.WithoutCancel(ctx), t, "PostConfirmation", "PostConfirmation_ConfirmSignUp", t.pool.PostConfirmation, request, struct{}{}, &answer)
}

// call invokes a trigger's function and decodes its answer. What the function says in its error is
// told to the caller: that is how a trigger refuses.
func (p *Pools) call(ctx context.Context, t trigger, name, source, function string, request triggerRequest, response, answer any) error {
	event, err := json.Marshal(triggerEvent{
		Version: "1", Region: p.region, UserPoolID: t.pool.ID, UserName: t.user.Name,
		CallerContext: callerContext{SDKVersion: "aws-sdk-unknown-unknown", ClientID: t.client},
		TriggerSource: source, Request: request, Response: response,
	})
	if err != nil {
		return fmt.Errorf("%s event: %w", name, err)
	}
	result, err := p.invoke(ctx, function, event)
	switch {
	case err != nil:
		return &apiError{kind: "UnexpectedLambdaException", message: name + " invocation failed due to error ServiceException.", cause: p.warn(ctx, name, function, err)}
	case result.FunctionError != "":
		return refuse("UserLambdaValidationException", "%s failed with error %s.", name, result.ErrorMessage)
	case json.Unmarshal(result.Payload, answer) != nil:
		return unrecognizable()
	}
	return nil
}

// invoke calls a function, again when it did not answer in time.
func (p *Pools) invoke(ctx context.Context, function string, event []byte) (result lambda.Result, err error) {
	for range triggerAttempts {
		attempt, cancel := context.WithTimeout(ctx, triggerTimeout)
		result, err = p.invoker.Invoke(attempt, function, event)
		late := attempt.Err() != nil
		cancel()
		if !late || ctx.Err() != nil {
			break
		}
	}
	return result, err
}

// warn logs what the caller is not told, and returns it.
func (p *Pools) warn(ctx context.Context, name, function string, err error) error {
	p.log.WarnContext(ctx, "user pool trigger could not be run", "trigger", name, "function", function, "error", err)
	return err
}

func unrecognizable() error {
	return refuse("InvalidLambdaResponseException", "Unrecognizable lambda output")
}
