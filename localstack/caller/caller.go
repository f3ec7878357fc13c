// Package caller says who makes a request to a service of the local cloud: one of the stack's
// functions, or the account's owner, which is everybody else.
package caller

import (
	"context"
	"net/http"
	"strings"
)

// keyPrefix begins the access key ids that functions are given. The local cloud checks no
// signature, so the id alone tells who calls, and says so in logs and headers.
const keyPrefix = "function-"

// AccessKeyID is what a function signs its requests with.
func AccessKeyID(function string) string { return keyPrefix + function }

type key struct{}

// With marks requests as made by a function.
func With(ctx context.Context, function string) context.Context {
	return context.WithValue(ctx, key{}, function)
}

// Function is the name of the function that makes a request, "" for the account's owner.
func Function(ctx context.Context) string {
	function, _ := ctx.Value(key{}).(string)
	return function
}

// FromRequest marks the context of a request that came over the network with the function that
// signed it. An unsigned request, or one signed with another key, is the owner's.
// Source: AWS Signature Version 4, "Add the signature to the request", Authorization header.
func FromRequest(r *http.Request) context.Context {
	_, credential, ok := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !ok {
		return r.Context()
	}
	id, _, _ := strings.Cut(credential, "/")
	if function, ok := strings.CutPrefix(id, keyPrefix); ok {
		return With(r.Context(), function)
	}
	return r.Context()
}
