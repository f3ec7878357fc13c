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

// messageLine is a message for programs.
type messageLine struct {
	Type         string `json:"type"` // "message"
	Conversation string `json:"conversation"`
	Seq          int64  `json:"seq"`
	From         string `json:"from"`
	Device       string `json:"device"`
	N            int64  `json:"n"`
	At           int64  `json:"at"` // Unix milliseconds
	Kind         string `json:"kind"`
	Text         string `json:"text"`
	ReplyTo      int64  `json:"reply_to,omitempty"`
	Own          bool   `json:"own"`
}

func lineOf(m client.Message) messageLine {
	return messageLine{
		Type: "message", Conversation: m.Conversation, Seq: m.Seq, From: m.From, Device: m.Device, N: m.N,
		At: m.At.UnixMilli(), Kind: m.Kind, Text: m.Text, ReplyTo: m.ReplyTo, Own: m.Own,
	}
}

// format is a message for people: "15:04:05 alice: hello". An own one is marked as stored.
func format(m client.Message, now time.Time) string {
	mark := ""
	if m.Own {
		mark = " ✓"
	}
	text := printable(m.Text)
	if m.ReplyTo > 0 {
		text = fmt.Sprintf("(to %d) %s", m.ReplyTo, text)
	}
	return fmt.Sprintf("%s %s: %s%s", clock(m.At, now), m.From, text, mark)
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
