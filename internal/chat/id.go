package chat

import (
	"fmt"
	"strings"
)

// User is a registered person's name: 1–36 of a–z 0–9 . _ - chosen at sign-up; it never changes.
type User string

// Device is one installation of a client: 1–36 of A–Z a–z 0–9 _ - chosen by the client.
// Reusing it is what makes resending safe (G2).
type Device string

// ConversationID names the conversation of two users: their names, sorted, joined by '~'.
type ConversationID string

// ConnectionID is API Gateway's name for one socket.
type ConnectionID string

// MaxNameBytes bounds the names of users and devices.
const MaxNameBytes = 36

// ParseUser checks a user's name.
func ParseUser(name string) (User, error) {
	if !valid(name, isUserByte) {
		return "", fmt.Errorf("user name %.50q is not 1 to %d of a-z 0-9 . _ -", name, MaxNameBytes)
	}
	return User(name), nil
}

// ParseDevice checks a device's id.
func ParseDevice(id string) (Device, error) {
	if !valid(id, isDeviceByte) {
		return "", fmt.Errorf("device id %.50q is not 1 to %d of A-Z a-z 0-9 _ -", id, MaxNameBytes)
	}
	return Device(id), nil
}

// Between returns the conversation of two different users.
func Between(a, b User) ConversationID {
	if b < a {
		a, b = b, a
	}
	return ConversationID(string(a) + "~" + string(b))
}

// ParseConversation checks a conversation's id.
func ParseConversation(id string) (ConversationID, error) {
	a, b, ok := strings.Cut(id, "~")
	if !ok || !valid(a, isUserByte) || !valid(b, isUserByte) || a >= b {
		return "", fmt.Errorf("conversation id %.80q is not two different user names, sorted, joined by '~'", id)
	}
	return ConversationID(id), nil
}

// Users returns the two users of a valid conversation id, in the order of their names.
func (c ConversationID) Users() (User, User) {
	a, b, _ := strings.Cut(string(c), "~")
	return User(a), User(b)
}

// Side is the place of a user in a conversation's id: 0 for the first, 1 for the second.
type Side int

// Side returns the place of a user of the conversation.
func (c ConversationID) Side(u User) Side {
	if first, _ := c.Users(); u == first {
		return 0
	}
	return 1
}

// Other is the peer's side.
func (s Side) Other() Side { return 1 - s }

// Peer returns the other user, and whether u is in the conversation at all.
func (c ConversationID) Peer(u User) (User, bool) {
	switch a, b := c.Users(); u {
	case a:
		return b, true
	case b:
		return a, true
	}
	return "", false
}

func valid(s string, ok func(byte) bool) bool {
	if len(s) == 0 || len(s) > MaxNameBytes {
		return false
	}
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isUserByte(b byte) bool {
	return 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '.' || b == '_' || b == '-'
}

func isDeviceByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_' || b == '-'
}
