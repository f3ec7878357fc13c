// Package caller says who makes a request to a service of the local cloud: one of the stack's
// functions, in one of its invocations, or the account's owner, which is everybody else.
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

type invocationKey struct{}

// WithInvocation marks an invocation, and the requests that are made in it, with its id, which has
// the form of an X-Ray trace's. Source: X-Ray developer guide, "Tracing header".
func WithInvocation(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, invocationKey{}, id)
}

// Invocation is the id of the invocation that makes a request, "" if it has none.
func Invocation(ctx context.Context) string {
	id, _ := ctx.Value(invocationKey{}).(string)
	return id
}

// traceHeader is what AWS's SDKs repeat the trace of the running invocation in.
// Source: Lambda developer guide, "Recursive loop detection"; aws-sdk-go-v2, RecursionDetection.
const traceHeader = "X-Amzn-Trace-Id"

// FromRequest marks the context of a request that came over the network with the function that
// signed it, and with the invocation that its trace names. An unsigned request, or one signed with
// another key, is the owner's.
// Source: AWS Signature Version 4, "Add the signature to the request", Authorization header.
func FromRequest(r *http.Request) context.Context {
	_, credential, ok := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !ok {
		return r.Context()
	}
	id, _, _ := strings.Cut(credential, "/")
	function, ok := strings.CutPrefix(id, keyPrefix)
	if !ok {
		return r.Context()
	}
	ctx := With(r.Context(), function)
	for part := range strings.SplitSeq(r.Header.Get(traceHeader), ";") {
		if root, ok := strings.CutPrefix(part, "Root="); ok {
			return WithInvocation(ctx, root)
		}
	}
	return ctx
}
