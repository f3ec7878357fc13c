// Package gateway is API Gateway's WebSocket API: the handshake with its REQUEST
// authorizer and $connect, route selection, one Lambda invocation per message,
// route responses, the @connections API, quotas, close codes and $disconnect.
//
// It knows functions by name only and nothing about what they do. It holds no
// message longer than it takes to hand it on, and it never logs bodies, headers
// or query strings: tokens travel in them.
//
// The journey of a message: conn.read takes a frame off the socket and builds
// the event (event.go), a goroutine per message invokes the function
// (invoke.go), and its reply joins the connection's queue (write.go), as do
// posts (post.go).
//
// # Where AWS does not say
//
// These are choices, not facts about AWS; nothing should be built on them.
//
//   - A $connect that times out answers 504; a refused or given-up handshake
//     never runs $disconnect, even when its $connect has run.
//   - A throttled message gets the frame "Too Many Requests", and its connection
//     stays open. Throttling is exact; 500 handshakes may come at once. A message
//     without a route costs the account's allowance only, $disconnect nothing.
//   - Beyond Lambda's concurrency an invocation is refused, as any other that Lambda
//     refuses: a message gets "Internal server error", a handshake 500. A
//     $disconnect waits for its turn instead.
//   - A message that asks for $connect, $disconnect or $default goes to $default.
//     A null at the selection's path counts as missing.
//   - A reply of no or an empty body makes no frame; one of more than 128 KB is
//     malformed; statusCode must be a number. base64 bodies are sent as they are.
//   - A client that vanishes is 1006 with an empty reason; for 1002, 1003, 1007
//     and 1009 the reason is the gateway's own text.
//   - Pings do not keep a connection from being idle. Frames of more than 32 KB
//     are limited on the way in only: a reply or post is one frame.
//   - A post of invalid UTF-8 is refused with 400, since a client would have to
//     fail the connection for it.
//   - domainName is the Host that the client sent, its port included.
//   - Names of headers are as net/http writes them, but for Sec-WebSocket-*.
//
// # What is left out
//
// Access logs, stage variables, API keys, models, IAM authorization, and policies
// with NotAction, NotResource or Condition.
package gateway
