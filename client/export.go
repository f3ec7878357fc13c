package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/duet-chat/duet/internal/wire"
)

// exportVersion is of the form that docs/export.md describes.
const exportVersion = 1

// exported are an export's parts, as they are written.
type (
	exportedHead struct {
		Format     string            `json:"format"`
		Version    int               `json:"version"`
		User       string            `json:"user"`
		ExportedAt int64             `json:"exported_at"` // Unix milliseconds
		Account    wire.AccountFrame `json:"account"`
	}
	exportedConversation struct {
		Conversation  string `json:"conversation"`
		Peer          string `json:"peer"`
		LastSeq       int64  `json:"last_seq"`
		At            int64  `json:"at"` // Unix milliseconds
		Unread        int64  `json:"unread"`
		Delivered     int64  `json:"delivered"`
		Read          int64  `json:"read"`
		PeerDelivered int64  `json:"peer_delivered"`
		PeerRead      int64  `json:"peer_read"`
		Blocked       bool   `json:"blocked"`
	}
)

// Export writes all that the server keeps about this user as one JSON object (docs/export.md): the
// account, and every conversation with its receipts and all its entries. It reads and writes page by
// page. What comes in meanwhile may or may not be part of it. When it fails, what was written is not
// complete.
func (c *Client) Export(ctx context.Context, to io.Writer) error {
	account, err := c.roundTrip(ctx, func(ref string) any { return plainRequest{wire.ActionAccount, ref} })
	if err != nil {
		return fmt.Errorf("export the account: %w", err)
	}
	list, err := c.Conversations(ctx)
	if err != nil {
		return fmt.Errorf("export the conversations: %w", err)
	}
	w := &exporter{w: bufio.NewWriter(to)}
	w.open(exportedHead{
		Format: "duet-export", Version: exportVersion, User: c.cfg.User, ExportedAt: c.cfg.Now().UnixMilli(),
		Account: wire.AccountFrame{
			Type: wire.TypeAccount, User: account.User, RegisteredAt: account.RegisteredAt,
			Visible: account.Visible, Connections: account.Connections,
		},
	}, "conversations")
	for i := range list {
		w.separate(i)
		if err := c.exportConversation(ctx, w, &list[i]); err != nil {
			return fmt.Errorf("export the conversation with %s: %w", list[i].Peer, err)
		}
	}
	w.write("]}\n")
	return w.end()
}

func (c *Client) exportConversation(ctx context.Context, w *exporter, v *Conversation) error {
	w.open(exportedConversation{
		Conversation: v.ID, Peer: v.Peer, LastSeq: v.LastSeq, At: v.At.UnixMilli(), Unread: v.Unread,
		Delivered: v.Own.Delivered, Read: v.Own.Read, PeerDelivered: v.Theirs.Delivered, PeerRead: v.Theirs.Read, Blocked: v.Blocked,
	}, "messages")
	after, written := int64(0), 0
	for more := true; more && w.err == nil; {
		f, err := c.roundTrip(ctx, func(ref string) any {
			return historyRequest{Action: wire.ActionHistory, Ref: ref, Conversation: v.ID, After: &after, Limit: MaxPage}
		})
		if err != nil {
			return err
		}
		for i := range f.Messages {
			w.separate(written)
			w.value(&f.Messages[i])
			written++
			after = f.Messages[i].Seq
		}
		more = f.More && len(f.Messages) > 0
	}
	w.write("]}")
	return w.err
}

// exporter writes JSON in pieces. Its first error stays.
type exporter struct {
	w   *bufio.Writer
	err error
}

func (e *exporter) write(s string) {
	if e.err == nil {
		_, e.err = e.w.WriteString(s)
	}
}

func (e *exporter) value(v any) {
	b, err := json.Marshal(v)
	if err != nil && e.err == nil {
		e.err = err
	}
	e.write(string(b))
}

// open writes an object, but for its end, with an empty list as its last field.
func (e *exporter) open(v any, list string) {
	b, err := json.Marshal(v)
	if err != nil {
		e.err = err
		return
	}
	e.write(string(b[:len(b)-1]) + `,"` + list + `":[`)
}

// separate goes to the next line of a list.
func (e *exporter) separate(i int) {
	if i > 0 {
		e.write(",")
	}
	e.write("\n")
}

func (e *exporter) end() error {
	if e.err == nil {
		e.err = e.w.Flush()
	}
	return e.err
}
