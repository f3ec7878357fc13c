// Package sync is the sync route: it tells a device what changed while it was away.
package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/function"
	"github.com/duet-chat/duet/internal/handler/route"
	"github.com/duet-chat/duet/internal/store"
	"github.com/duet-chat/duet/internal/wire"
)

type server struct {
	env         function.Env
	epoch       string
	connections *store.Connections
	inbox       chat.Inbox
}

// New builds the function.
func New(env function.Env) (lambda.Handler, error) {
	v, err := env.Require("CONNECTIONS_TABLE", "CONVERSATIONS_TABLE", "MEMBERS_TABLE", "MESSAGES_TABLE", "EPOCH")
	if err != nil {
		return nil, err
	}
	s := &server{
		env:         env,
		epoch:       epoch(v["EPOCH"]),
		connections: store.NewConnections(env.AWS, v["CONNECTIONS_TABLE"]),
		inbox: chat.Inbox{Index: store.NewInbox(env.AWS, store.InboxTables{
			Conversations: v["CONVERSATIONS_TABLE"],
			Members:       v["MEMBERS_TABLE"],
			Messages:      v["MESSAGES_TABLE"],
		}, env.Now)},
	}
	return route.New(env, s.sync), nil
}

// epoch names the life of the data by the ARN of the messages' stream: its label is the time at
// which it was made, so that a table which is restored, or made anew, has another one.
// Source: DynamoDB API reference, TableDescription, LatestStreamLabel.
func epoch(streamARN string) string {
	sum := sha256.Sum256([]byte(streamARN))
	return hex.EncodeToString(sum[:8])
}

func (s *server) sync(ctx context.Context, r route.Request) (string, any, error) {
	q, err := wire.DecodeSync(r.Frame, r.User)
	if err != nil {
		return q.Ref, nil, err
	}
	at, err := parseSince(q.Since, s.epoch)
	if err != nil {
		return q.Ref, nil, err
	}
	if at.start == 0 {
		// What commits from here on is posted to this connection, or listed by the next sync. What
		// the connection misses between two pages is not in the later ones: only the first forgets.
		at.start = s.env.Now().UnixMilli()
		if err := s.clearBehind(ctx, r.Session); err != nil {
			return q.Ref, nil, err
		}
	}
	page, more, err := s.inbox.Page(ctx, chat.Changes{User: r.User, Since: at.since, Cursors: q.Cursors, After: at.after})
	if err != nil {
		return q.Ref, nil, err
	}
	answer := wire.Synced{Type: wire.TypeSynced, Ref: q.Ref, Epoch: s.epoch, Conversations: make([]wire.Summary, 0, len(page))}
	for _, summary := range page {
		answer.Conversations = append(answer.Conversations, wire.NewSummary(summary))
	}
	fits, err := wire.Fit(answer.Conversations)
	if err != nil {
		return q.Ref, nil, err
	}
	answer.Conversations = answer.Conversations[:fits]
	if answer.More = more || fits < len(page); answer.More {
		if fits > 0 {
			at.after = page[fits-1].Place()
		}
		answer.Since = at.next(s.epoch)
	} else {
		answer.Since = since{since: at.start}.next(s.epoch)
	}
	return q.Ref, answer, nil
}

// clearBehind forgets what the connection missed so far, before reading: what it misses from
// here on is marked anew.
func (s *server) clearBehind(ctx context.Context, r route.Session) error {
	behind, known, err := s.connections.IsBehind(ctx, r.User, r.Connection)
	if err != nil {
		return err
	}
	if !known {
		return chat.Refuse(chat.SessionExpired, "", "nothing is delivered to this connection any more: connect again")
	}
	if behind {
		return s.connections.ClearBehind(ctx, r.User, r.Connection)
	}
	return nil
}
