// Package chat is Duet's domain: users, conversations, the order of messages, repeats, and what
// a user has missed. It knows no AWS, no JSON and no clock of its own; what it needs from
// outside, it names as interfaces. Promises (G1…G10) are those of docs/guarantees.md.
package chat
