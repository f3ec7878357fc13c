package cognito

import "fmt"

// apiError is an answer that refuses: 400 unless it is Cognito's own fault. Types and texts are
// those of the Cognito API reference and of public captures; clients compare the type.
type apiError struct {
	kind    string // such as NotAuthorizedException
	message string
	cause   error // for the log only
}

func (e *apiError) Error() string {
	if e.cause != nil {
		return e.kind + ": " + e.message + ": " + e.cause.Error()
	}
	return e.kind + ": " + e.message
}

func (e *apiError) Unwrap() error { return e.cause }

const internalError = "InternalErrorException"

func refuse(kind, format string, args ...any) *apiError {
	return &apiError{kind: kind, message: fmt.Sprintf(format, args...)}
}

func notAuthorized(message string) *apiError {
	return &apiError{kind: "NotAuthorizedException", message: message}
}

func invalidParameter(format string, args ...any) *apiError {
	return refuse("InvalidParameterException", format, args...)
}

func userNotFound() *apiError { return refuse("UserNotFoundException", "User does not exist.") }

func wrongPassword() *apiError { return notAuthorized("Incorrect username or password.") }

// internal hides a cause from the client.
func internal(cause error) *apiError {
	return &apiError{kind: internalError, message: "An internal error occurred: see the log of the local cloud.", cause: cause}
}
