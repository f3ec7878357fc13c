package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/duet-chat/duet/client"
)

// line writes a line for people.
func (a *app) line(format string, args ...any) error {
	_, err := fmt.Fprintf(a.out, format+"\n", args...)
	return err
}

// note writes a line beside the output proper.
func (a *app) note(format string, args ...any) {
	if !a.JSON {
		fmt.Fprintf(a.err, "* "+format+"\n", args...)
	}
}

// object writes a line for programs.
func (a *app) object(v any) error {
	_, err := fmt.Fprintln(a.out, jsonLine(v))
	return err
}

// jsonLine encodes what is made of strings, numbers and booleans.
func jsonLine(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n")
}

// messageLine is an entry of a conversation for programs.
type messageLine struct {
	Type         string `json:"type"` // "message"
	Conversation string `json:"conversation"`
	Seq          int64  `json:"seq"`
	From         string `json:"from"`
	Device       string `json:"device"`
	N            int64  `json:"n"`
	At           int64  `json:"at"`   // Unix milliseconds
	Kind         string `json:"kind"` // text, edit, unsend or reaction
	Text         string `json:"text"`
	ReplyTo      int64  `json:"reply_to,omitempty"`
	Target       int64  `json:"target,omitempty"`
	Emoji        string `json:"emoji,omitempty"`
	Edited       int64  `json:"edited,omitempty"`
	Unsent       int64  `json:"unsent,omitempty"`
	Own          bool   `json:"own"`
}

func lineOf(m client.Message) messageLine {
	return messageLine{
		Type: "message", Conversation: m.Conversation, Seq: m.Seq, From: m.From, Device: m.Device, N: m.N,
		At: m.At.UnixMilli(), Kind: m.Kind, Text: m.Text, ReplyTo: m.ReplyTo, Target: m.Target, Emoji: m.Emoji,
		Edited: m.Edited, Unsent: m.Unsent, Own: m.Own,
	}
}

// tick marks an own message: stored, delivered to the peer, read by the peer.
type tick string

const (
	stored    tick = "✓"
	delivered tick = "✓✓"
	read      tick = "✓✓ read"
)

// tickOf is the tick of an own message at seq, when the peer has come so far.
func tickOf(seq int64, peer client.Mark) tick {
	switch {
	case seq <= peer.Read:
		return read
	case seq <= peer.Delivered:
		return delivered
	}
	return stored
}

// format is an entry for people: "15:04:05 alice: hello ✓". The tick is for an own text.
func format(m client.Message, t tick, now time.Time) string {
	return formatItem(client.Item{Message: m}, t, now)
}

// formatItem is a text with what became of it, or another entry, for people.
func formatItem(it client.Item, t tick, now time.Time) string {
	head := fmt.Sprintf("%s %s", clock(it.At, now), it.From)
	text := printable(it.Text)
	switch {
	case it.Kind == client.KindEdit && it.Text == "":
		return fmt.Sprintf("%s edited #%d", head, it.Target)
	case it.Kind == client.KindEdit:
		return fmt.Sprintf("%s edited #%d: %s", head, it.Target, text)
	case it.Kind == client.KindUnsend:
		return fmt.Sprintf("%s unsent #%d", head, it.Target)
	case it.Kind == client.KindReaction && it.Emoji == "":
		return fmt.Sprintf("%s took back the reaction to #%d", head, it.Target)
	case it.Kind == client.KindReaction:
		return fmt.Sprintf("%s reacted %s to #%d", head, printable(it.Emoji), it.Target)
	case it.Unsent > 0 || it.Text == "": // erased with the account
		return head + ": (unsent)"
	}
	var b strings.Builder
	b.WriteString(head + ": ")
	if it.ReplyTo > 0 {
		fmt.Fprintf(&b, "(to #%d) ", it.ReplyTo)
	}
	b.WriteString(text)
	if it.Edited > 0 {
		b.WriteString(" (edited)")
	}
	for _, r := range it.Reactions {
		fmt.Fprintf(&b, " [%s %s]", printable(r.Emoji), r.User)
	}
	if it.Own {
		b.WriteString(" " + string(t))
	}
	return b.String()
}

// clock is the time of day, with the date if that is not today.
func clock(at, now time.Time) string {
	at = at.In(now.Location())
	if at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format(time.TimeOnly)
	}
	return at.Format("2006-01-02 15:04:05")
}

// printable makes a text safe to show: what would move the cursor, change colors or reverse the
// reading direction is shown as U+FFFD, and lines after the first are indented.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, strings.ReplaceAll(text, "\n", "\n    "))
}
