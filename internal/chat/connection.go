package chat

import "time"

// Connection is one socket of a user's device.
type Connection struct {
	User        User
	ID          ConnectionID
	Device      Device
	ConnectedAt int64 // Unix milliseconds
	Session     SessionID
	SessionEnd  int64 // Unix seconds: when the token that opened it expires
	// Behind says that something could not be posted to it: the client must sync (G6).
	Behind bool
}

// MaxConnectionAge is API Gateway's limit of a connection's life.
// Source: API Gateway quotas, "Connection duration for WebSocket API".
const MaxConnectionAge = 2 * time.Hour

// Birth bounds the time from writing a connection's row, inside $connect, to the socket's
// existence: an integration has at most 29 seconds, the rest is for clocks that differ. A post
// that meets no socket within it says nothing about whether the device is gone.
const Birth = time.Minute

// BeingBorn tells whether the socket may not exist yet although the row does.
func (c Connection) BeingBorn(now time.Time) bool {
	return now.UnixMilli()-c.ConnectedAt < Birth.Milliseconds()
}

// Expired tells whether the session has ended: nothing is sent to it any more (G9).
func (c Connection) Expired(now time.Time) bool { return now.Unix() >= c.SessionEnd }

// Until is when the connection has ended for certain, in Unix seconds.
func (c Connection) Until() int64 {
	return min(c.SessionEnd, c.ConnectedAt/1000+int64(MaxConnectionAge.Seconds()))
}
