// Package test holds Duet's promises (docs/guarantees.md) from outside: over HTTP and WebSocket,
// written from docs/protocol.md, against any deployment. One file per promise or theme.
//
// Without further ado each test runs against a local cloud of its own. DUET_TARGET runs them
// against another deployment: the base URL of a local cloud, or a file with a stack's outputs.
package test
