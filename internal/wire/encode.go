package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/duet-chat/duet/internal/chat"
)

// Encode writes a frame. Unlike json.Marshal it leaves <, > and & as they are: they would take
// six bytes each of a frame that must stay below 32 KB.
func Encode(frame any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(frame); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// NewMessage is the frame of an entry as it stands in a page; see Push.
func NewMessage(m chat.Message) Message {
	return Message{
		Conversation: string(m.Conversation), Seq: m.Seq, From: string(m.From), Device: string(m.Device),
		N: m.N, At: m.At, Kind: m.Kind, Text: m.Text, Target: m.Target, Emoji: m.Emoji,
		ReplyTo: m.ReplyTo, Edited: m.Edited, Unsent: m.Unsent,
	}
}

// Push is the frame of an entry as it is pushed live.
func Push(m chat.Message) Message {
	f := NewMessage(m)
	f.Type = TypeMessage
	return f
}

// NewSummary is a conversation's summary. The text of its last message is cut.
func NewSummary(s chat.Summary) Summary {
	f := Summary{
		Conversation: string(s.Conversation), Peer: string(s.Peer), LastSeq: s.LastSeq, At: s.At,
		Read: s.Read, Delivered: s.Delivered, PeerRead: s.PeerRead, PeerDelivered: s.PeerDelivered,
		Unread: s.Unread, Blocked: s.Blocked,
	}
	if s.Last != nil {
		last := NewMessage(*s.Last)
		last.Text = cut(last.Text, MaxSummaryText)
		f.Last = &last
	}
	return f
}

// cut shortens a text on a character's border.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return strings.Clone(text[:most])
}

// envelope is kept free in an answer that is a list, for everything but the list: the longest
// ref (64 bytes, escaped), the longest since, names and punctuation.
const envelope = 1536

// Fit returns how many of the first items make an answer of at most MaxFrameBytes, at least one:
// a single message of MaxTextBytes always fits, however much of it must be escaped.
func Fit[T any](items []T) (int, error) {
	size := envelope
	for i := range items {
		b, err := Encode(items[i])
		if err != nil {
			return 0, err
		}
		if size += len(b) + 1; size > MaxFrameBytes && i > 0 {
			return i, nil
		}
	}
	return len(items), nil
}
