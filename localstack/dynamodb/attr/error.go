package attr

import "fmt"

// The AWS error types that this package and package expr report.
const (
	// ValidationException: the request is well formed, but its content is not allowed.
	ValidationException = "ValidationException"
	// SerializationException: the body is not the JSON that the operation takes.
	SerializationException = "SerializationException"
)

// Error is a refusal as AWS words it, to be passed to the client unchanged.
type Error struct {
	Type    string // AWS's short error type, such as ValidationException
	Message string // AWS's text
}

// Error is the type and the message.
func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Invalid makes a ValidationException.
func Invalid(format string, args ...any) *Error {
	return &Error{Type: ValidationException, Message: fmt.Sprintf(format, args...)}
}
