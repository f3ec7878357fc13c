package gateway

import "context"

// Faults says what does not reach its end: each method is asked before something is done, may
// take its time until ctx ends, and is true when it is to be done. user is the connection's principalId, "" without
// an authorizer. The methods are called concurrently, and on the path of every message.
type Faults interface {
	// Reply is asked before a route's answer is sent to its client.
	Reply(ctx context.Context, route, user string) bool
	// Disconnect is asked before $disconnect is run.
	Disconnect(ctx context.Context, user string) bool
	// Write is asked before frames are written to a client; if it is false the socket is cut.
	Write(ctx context.Context, user string) bool
}

type noFaults struct{}

func (noFaults) Reply(context.Context, string, string) bool { return true }
func (noFaults) Disconnect(context.Context, string) bool    { return true }
func (noFaults) Write(context.Context, string) bool         { return true }

// Cut ends the sockets of a user's connections, or of all for "", without a close frame, as a network
// does that breaks. It returns their number.
func (g *Gateway) Cut(user string) int {
	g.mu.RLock()
	var found []*conn
	for _, c := range g.connections {
		if user == "" || c.session.user == user {
			found = append(found, c)
		}
	}
	g.mu.RUnlock()
	for _, c := range found {
		c.drop()
	}
	return len(found)
}

// User is the principalId of an open connection, "" if there is none.
func (g *Gateway) User(connection string) string {
	if c := g.lookup(connection); c != nil {
		return c.session.user
	}
	return ""
}
