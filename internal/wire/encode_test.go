package wire_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/wire"
)

// longest is the message whose frame is the largest that can be: names and numbers of the most
// bytes, and a text of which every byte takes six.
func longest() chat.Message {
	a, b := strings.Repeat("a", chat.MaxNameBytes), strings.Repeat("b", chat.MaxNameBytes)
	return chat.Message{
		Conversation: chat.Between(chat.User(a), chat.User(b)), Seq: wire.MaxNumber, From: chat.User(a),
		Device: chat.Device(strings.Repeat("D", chat.MaxNameBytes)), N: wire.MaxNumber, Kind: chat.KindText,
		Text: strings.Repeat("\x01", wire.MaxTextBytes), ReplyTo: wire.MaxNumber, At: math.MaxInt64,
	}
}

// longestRef takes six bytes for each of its own.
var longestRef = strings.Repeat("\x01", wire.MaxRefBytes)

func size(t testing.TB, frame any) int {
	t.Helper()
	b, err := wire.Encode(frame)
	if err != nil {
		t.Fatal(err)
	}
	return len(b)
}

// A message that was accepted can be pushed and paged, however much of it must be escaped.
func TestLargestMessageFitsIntoAFrame(t *testing.T) {
	m := longest()
	if n := size(t, wire.Push(m)); n > wire.MaxFrameBytes {
		t.Errorf("the largest push has %d bytes, want at most %d", n, wire.MaxFrameBytes)
	}
	messages := []wire.Message{wire.NewMessage(m), wire.NewMessage(m)}
	fits, err := wire.Fit(messages)
	if err != nil || fits != 1 {
		t.Fatalf("Fit = %d, %v, want 1", fits, err)
	}
	page := wire.Page{Type: wire.TypePage, Ref: longestRef, Conversation: string(m.Conversation), Messages: messages[:1], More: true}
	if n := size(t, page); n > wire.MaxFrameBytes {
		t.Errorf("the largest page of one message has %d bytes, want at most %d", n, wire.MaxFrameBytes)
	}
}

func TestFitKeepsAnswersWithinAFrame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := longest()
		var messages []wire.Message
		for range rapid.IntRange(0, wire.MaxPageMessages).Draw(t, "messages") {
			m.Text = strings.Repeat(rapid.SampledFrom([]string{"x", "é", "\x01", "\"", "<", "\u2028"}).Draw(t, "of"), rapid.IntRange(0, 1365).Draw(t, "times"))
			messages = append(messages, wire.NewMessage(m))
		}
		fits, err := wire.Fit(messages)
		if err != nil || fits > len(messages) || len(messages) > 0 && fits == 0 {
			t.Fatalf("Fit of %d = %d, %v", len(messages), fits, err)
		}
		page := wire.Page{Type: wire.TypePage, Ref: longestRef, Conversation: string(m.Conversation), Messages: messages[:fits], More: true}
		b, err := wire.Encode(page)
		if err != nil || len(b) > wire.MaxFrameBytes {
			t.Fatalf("a page of %d has %d bytes (%v), want at most %d", fits, len(b), err, wire.MaxFrameBytes)
		}
		if fits < len(messages) {
			page.Messages = messages[:fits+1]
			if b, _ := wire.Encode(page); len(b)+1536 <= wire.MaxFrameBytes {
				t.Fatalf("one more would have made %d bytes: the page was cut too early", len(b))
			}
		}
	})
}

func TestFitCutsSyncedToo(t *testing.T) {
	m := longest()
	var summaries []wire.Summary
	for range 100 {
		summaries = append(summaries, wire.NewSummary(chat.Summary{
			Conversation: m.Conversation, Peer: m.From, LastSeq: wire.MaxNumber, At: math.MaxInt64, Read: wire.MaxNumber, Delivered: wire.MaxNumber,
			PeerRead: wire.MaxNumber, PeerDelivered: wire.MaxNumber, Unread: wire.MaxNumber, Last: &m,
		}))
	}
	fits, err := wire.Fit(summaries)
	if err != nil || fits < 10 || fits == 100 {
		t.Fatalf("Fit = %d, %v, want a part of 100", fits, err)
	}
	n := size(t, wire.Synced{
		Type: wire.TypeSynced, Ref: longestRef, Epoch: strings.Repeat("f", 16), Conversations: summaries[:fits],
		Since: strings.Repeat("x", wire.MaxSinceBytes), More: true,
	})
	if n > wire.MaxFrameBytes {
		t.Errorf("synced has %d bytes, want at most %d", n, wire.MaxFrameBytes)
	}
}

func TestNewSummaryCutsTheLastTextOnACharactersBorder(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"short", "hi", "hi"},
		{"exactly", strings.Repeat("x", 120), strings.Repeat("x", 120)},
		{"one over", strings.Repeat("x", 121), strings.Repeat("x", 120)},
		{"two bytes, even", strings.Repeat("é", 61), strings.Repeat("é", 60)},
		{"two bytes, odd", "x" + strings.Repeat("é", 60), "x" + strings.Repeat("é", 59)},
		{"three bytes", "xx" + strings.Repeat("€", 40), "xx" + strings.Repeat("€", 39)},
		{"four bytes", "x" + strings.Repeat("😀", 30), "x" + strings.Repeat("😀", 29)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			last := chat.Message{Conversation: "alice~bob", Seq: 1, From: "bob", Text: tt.text}
			got := wire.NewSummary(chat.Summary{Conversation: "alice~bob", Last: &last}).Last.Text
			if got != tt.want || !utf8.ValidString(got) {
				t.Errorf("text = %q, want %q", got, tt.want)
			}
			if last.Text != tt.text {
				t.Error("the message itself was changed")
			}
		})
	}
	if s := wire.NewSummary(chat.Summary{Conversation: "alice~bob"}); s.Last != nil {
		t.Errorf("last = %+v, want none", s.Last)
	}
}

// A push names its type; in a page or a summary the place says what it is.
func TestOnlyPushesHaveAType(t *testing.T) {
	m := chat.Message{Conversation: "alice~bob", Seq: 1, From: "bob", Device: "d", N: 1, Kind: chat.KindText, Text: "hi"}
	if got := wire.NewMessage(m).Type; got != "" {
		t.Errorf("NewMessage has type %q", got)
	}
	if got := wire.Push(m).Type; got != wire.TypeMessage {
		t.Errorf("Push has type %q", got)
	}
}

func ExampleEncode() {
	frame, err := wire.Encode(wire.Push(chat.Message{
		Conversation: "alice~bob", Seq: 2, From: "bob", Device: "phone", N: 1, Kind: chat.KindText,
		Text: "you & me <3", ReplyTo: 1, At: 1790000000500,
	}))
	fmt.Println(string(frame), err)
	// Output: {"type":"message","conversation":"alice~bob","seq":2,"from":"bob","device":"phone","n":1,"at":1790000000500,"kind":"text","text":"you & me <3","reply_to":1} <nil>
}

func ExampleDecodeSend() {
	r, err := wire.DecodeSend([]byte(`{"action":"send","ref":"s1","to":"bob","n":1,"text":"hello"}`), "alice")
	fmt.Println(r.Ref, r.Conversation, r.N, r.Text, err)

	_, err = wire.DecodeSend([]byte(`{"action":"send","ref":"s2","to":"bob","n":1.5,"text":"hello"}`), "alice")
	fmt.Println(err)
	// Output:
	// s1 alice~bob 1 hello <nil>
	// bad_request (n): n must be an integer from 1 to 9007199254740991, not 1.5
}

func BenchmarkDecodeSend(b *testing.B) {
	frame := fmt.Appendf(nil, `{"action":"send","ref":"s1","to":"bob","n":1,"text":"%s","seen":7}`, strings.Repeat("x", 100))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeSend(frame, "alice"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPush(b *testing.B) {
	m := chat.Message{Conversation: "alice~bob", Seq: 2, From: "bob", Device: "phone", N: 1, Kind: chat.KindText, Text: strings.Repeat("x", 100), At: 1790000000500}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.Encode(wire.Push(m)); err != nil {
			b.Fatal(err)
		}
	}
}
