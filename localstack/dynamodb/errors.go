package dynamodb

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// Prefixes of the error types on the wire.
const (
	servicePrefix  = "com.amazonaws.dynamodb.v20120810#"
	coralPrefix    = "com.amazon.coral.service#"
	validatePrefix = "com.amazon.coral.validate#"
)

// apiError is an error as it goes to the client.
type apiError struct {
	Type    string // without its prefix
	Message string
	Item    attr.Item // of a failed condition, when it was asked for
	Reasons []reason  // of a cancelled transaction

	mismatch bool // a key does not fit the table: in a transaction that is found late, and cancels it
}

func (e *apiError) Error() string { return e.Type + ": " + e.Message }

// reason tells why one action of a transaction failed; the zero reason is that it did not.
type reason struct {
	Code    string
	Message string
	Item    attr.Item
}

// Codes of reasons.
const (
	conditionFailed  = "ConditionalCheckFailed"
	validationFailed = "ValidationError"
)

func refuse(errorType, format string, args ...any) error {
	return &apiError{Type: errorType, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return refuse(attr.ValidationException, format, args...)
}

// missing says that a request lacks a member.
func missing(member string) error {
	var v violations
	v.missing(member)
	return v.err()
}

// mismatch says that a key does not fit its table or index.
func mismatch(format string, args ...any) error {
	return &apiError{Type: attr.ValidationException, Message: fmt.Sprintf(format, args...), mismatch: true}
}

const keyMismatch = "The provided key element does not match the schema"

// isMismatch reports whether a key does not fit its table.
func isMismatch(err error) (message string, ok bool) {
	var api *apiError
	if errors.As(err, &api) && api.mismatch {
		return api.Message, true
	}
	return "", false
}

// checkEnum checks a parameter that may be left out. values stand in the order of AWS's text.
func checkEnum(member, value string, values ...string) error {
	if value == "" || slices.Contains(values, value) {
		return nil
	}
	return invalid("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: [%s]", value, member, strings.Join(values, ", "))
}

// tableNotFound is how the operations on tables say it; those on items say notFound.
func tableNotFound(name string) error {
	return refuse("ResourceNotFoundException", "Requested resource not found: Table: %s not found", name)
}

func notFound() error {
	return refuse("ResourceNotFoundException", "Requested resource not found")
}

// appendError appends the body of an error response, and returns its status.
func appendError(dst []byte, err error) (body []byte, status int) {
	var api *apiError
	var value *attr.Error
	switch {
	case errors.As(err, &api):
	case errors.As(err, &value):
		api = &apiError{Type: value.Type, Message: value.Message}
	default:
		api = &apiError{Type: "InternalServerError", Message: err.Error()}
	}
	prefix, status := servicePrefix, http.StatusBadRequest
	switch api.Type {
	case attr.ValidationException, attr.SerializationException, "UnknownOperationException":
		prefix = coralPrefix
		if api.Type == attr.ValidationException {
			prefix = validatePrefix
		}
	case "InternalServerError":
		status = http.StatusInternalServerError
	}
	dst = append(dst, `{"__type":`...)
	dst = attr.AppendString(dst, prefix+api.Type)
	if api.Item != nil {
		dst = append(dst, `,"Item":`...)
		dst = api.Item.AppendJSON(dst)
	}
	if api.Reasons != nil {
		dst = append(dst, `,"CancellationReasons":[`...)
		for i, r := range api.Reasons {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = r.appendJSON(dst)
		}
		dst = append(dst, ']')
	}
	// A transaction's cancellation has its text under a capital name, as observed on the service.
	key := `,"message":`
	if api.Reasons != nil {
		key = `,"Message":`
	}
	dst = append(dst, key...)
	dst = attr.AppendString(dst, api.Message)
	return append(dst, '}'), status
}

func (r reason) appendJSON(dst []byte) []byte {
	if r.Code == "" {
		return append(dst, `{"Code":"None"}`...)
	}
	dst = append(dst, `{"Code":`...)
	dst = attr.AppendString(dst, r.Code)
	if r.Item != nil {
		dst = append(dst, `,"Item":`...)
		dst = r.Item.AppendJSON(dst)
	}
	dst = append(dst, `,"Message":`...)
	dst = attr.AppendString(dst, r.Message)
	return append(dst, '}')
}

// validation is the text of a ValidationException; ok is false for any other error.
func validation(err error) (message string, ok bool) {
	var value *attr.Error
	if errors.As(err, &value) {
		return value.Message, value.Type == attr.ValidationException
	}
	var api *apiError
	if errors.As(err, &api) {
		return api.Message, api.Type == attr.ValidationException
	}
	return "", false
}
