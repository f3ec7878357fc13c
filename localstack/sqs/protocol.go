package sqs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	smithyrand "github.com/aws/smithy-go/rand"
)

// TargetPrefix begins the X-Amz-Target of SQS's operations.
const TargetPrefix = "AmazonSQS."

// operation is one operation: from the request's body to what is answered as JSON.
type operation func(s *Service, ctx context.Context, body []byte) (any, error)

var operations = map[string]operation{
	"ListQueues":                   of((*Service).listQueues),
	"GetQueueUrl":                  of((*Service).getQueueURL),
	"GetQueueAttributes":           of((*Service).getQueueAttributes),
	"SendMessage":                  of((*Service).sendMessage),
	"SendMessageBatch":             of(batch("SendMessageBatchRequestEntry", (*Service).sendMessage)),
	"ReceiveMessage":               of((*Service).receiveMessage),
	"DeleteMessage":                of((*Service).deleteMessage),
	"DeleteMessageBatch":           of(batch("DeleteMessageBatchRequestEntry", (*Service).deleteMessage)),
	"ChangeMessageVisibility":      of((*Service).changeVisibility),
	"ChangeMessageVisibilityBatch": of(batch("ChangeMessageVisibilityBatchRequestEntry", (*Service).changeVisibility)),
	"PurgeQueue":                   of((*Service).purgeQueue),
}

// unsupported operations of SQS are refused by name; any other name is unknown on AWS too.
const unsupported = " AddPermission CancelMessageMoveTask CreateQueue DeleteQueue ListDeadLetterSourceQueues ListMessageMoveTasks" +
	" ListQueueTags RemovePermission SetQueueAttributes StartMessageMoveTask TagQueue UntagQueue "

// of makes an operation of a function of its input.
func of[In any](run func(*Service, context.Context, In) (any, error)) operation {
	return func(s *Service, ctx context.Context, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, &apiError{coralPrefix + "SerializationException", "SerializationException", fmt.Sprintf("The request is not what SQS takes: %v", err)}
		}
		return run(s, ctx, in)
	}
}

// Do runs one operation of SQS's JSON 1.0 protocol. operation is the name after TargetPrefix. A
// receive waits as long as it is to, or until ctx ends.
// Source: SQS developer guide, "Making Query API requests using AWS JSON protocol in Amazon SQS".
func (s *Service) Do(ctx context.Context, name string, body []byte) (status int, response []byte, errorCode string) {
	out, err := s.do(ctx, name, body)
	if err == nil {
		if response, err = json.Marshal(out); err == nil {
			return http.StatusOK, response, ""
		}
	}
	status = http.StatusBadRequest
	var api *apiError
	fault := "Sender"
	if !errors.As(err, &api) {
		status, fault = http.StatusInternalServerError, "Receiver"
		api = &apiError{coralPrefix + "InternalFailure", "InternalFailure", err.Error()}
	}
	response, _ = json.Marshal(map[string]string{"__type": api.Type, "message": api.Message}) // strings: cannot fail
	return status, response, api.Code + ";" + fault
}

func (s *Service) do(ctx context.Context, name string, body []byte) (any, error) {
	if run := operations[name]; run != nil {
		return run(s, ctx, body)
	}
	if strings.Contains(unsupported, " "+name+" ") {
		return nil, unsupportedOperation("The local SQS does not support %s: queues are made and set by the template.", name)
	}
	return nil, &apiError{coralPrefix + "UnknownOperationException", "InvalidAction", fmt.Sprintf("The action %s is not valid for this endpoint.", name)}
}

// maxBody bounds a request: a batch is at most 1 MiB of messages, each byte of which JSON may escape
// as six.
const maxBody = 6*maxSize + 64<<10

// ServeHTTP serves the protocol.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	status, response, errorCode := s.Do(r.Context(), strings.TrimPrefix(r.Header.Get("X-Amz-Target"), TargetPrefix), body)
	h := w.Header()
	h.Set("Content-Type", "application/x-amz-json-1.0")
	if errorCode != "" {
		// SDKs that are older than the JSON protocol know errors by these names.
		h.Set("X-Amzn-Query-Error", errorCode)
	}
	if id, err := smithyrand.NewUUID(rand.Reader).GetUUID(); err == nil {
		h.Set("X-Amzn-RequestId", id)
	}
	w.WriteHeader(status)
	_, _ = w.Write(response) // the client is gone if this fails
}

// apiError is an error as it goes to the client.
type apiError struct {
	Type    string // with its prefix, of the JSON protocol
	Code    string // of the query protocol
	Message string
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// Prefixes of the error types on the wire.
const (
	servicePrefix = "com.amazonaws.sqs#"
	coralPrefix   = "com.amazon.coral.service#"
)

// modelled is an error of the service's model; some have another code in the query protocol.
func modelled(name, format string, args ...any) error {
	code := name
	switch name {
	case "QueueDoesNotExist":
		code = "AWS.SimpleQueueService.NonExistentQueue"
	case "UnsupportedOperation", "MessageNotInflight", "PurgeQueueInProgress", "EmptyBatchRequest", "TooManyEntriesInBatchRequest", "BatchEntryIdsNotDistinct", "InvalidBatchEntryId":
		code = "AWS.SimpleQueueService." + name
	}
	return &apiError{servicePrefix + name, code, fmt.Sprintf(format, args...)}
}

func unsupportedOperation(format string, args ...any) error {
	return modelled("UnsupportedOperation", format, args...)
}

func missingParameter(name string) error {
	return &apiError{coralPrefix + "MissingRequiredParameterException", "MissingParameter", "The request must contain the parameter " + name + "."}
}

func invalidParameter(format string, args ...any) error {
	return &apiError{coralPrefix + "InvalidParameterValueException", "InvalidParameterValue", fmt.Sprintf(format, args...)}
}

// at finds a queue by its URL: by the name in it, whatever host the request came by.
func (s *Service) at(queueURL string) (*queue, error) {
	if queueURL == "" {
		return nil, missingParameter("QueueUrl")
	}
	u, err := url.Parse(queueURL)
	if err != nil {
		return nil, modelled("InvalidAddress", "The address %s is not valid for this endpoint.", queueURL)
	}
	account, name, ok := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if !ok {
		return nil, modelled("InvalidAddress", "The address %s is not valid for this endpoint.", queueURL)
	}
	if account == s.Account {
		if q := s.named(name); q != nil {
			q.requests.Add(1)
			return q, nil
		}
	}
	return nil, nonExistent()
}

func (s *Service) named(name string) *queue {
	for _, q := range s.queues {
		if q.Name == name {
			return q
		}
	}
	return nil
}

func nonExistent() error {
	return modelled("QueueDoesNotExist", "The specified queue does not exist.")
}
