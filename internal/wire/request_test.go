package wire_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/wire"
)

// refusal is what programs are told of an error.
type refusal struct {
	code  chat.Code
	field string
}

var accepted refusal

func refused(t *testing.T, err error) refusal {
	t.Helper()
	if err == nil {
		return accepted
	}
	var e *chat.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *chat.Error: a client would learn nothing of it", err)
	}
	if e.Message == "" || len(e.Message) > 500 {
		t.Errorf("message %q is of no use to people", e.Message)
	}
	return refusal{e.Code, e.Field}
}

// with is a request's JSON with one field set, or, with "", left out. Fields stand in no order.
func with(fields map[string]string, name, value string) string {
	all := maps.Clone(fields)
	all[name] = value
	var parts []string
	for name, value := range all {
		if value != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func quoted(s string) string { return `"` + s + `"` }

func bad(field string) refusal { return refusal{chat.BadRequest, field} }

// G10: frames that are no request of this version are refused before anything else is read.
func TestG10_FramesThatAreNoRequest(t *testing.T) {
	notAnObject := refusal{chat.UnknownAction, "action"}
	padded := func(bytes int) string {
		const frame = `{"action":"ping","x":""}`
		return frame[:len(frame)-2] + strings.Repeat("x", bytes-len(frame)) + `"}`
	}
	tests := []struct {
		name, frame string
		want        refusal
	}{
		{"empty", "", notAnObject},
		{"text", "hello", notAnObject},
		{"array", `[{"action":"ping"}]`, notAnObject},
		{"string", `"ping"`, notAnObject},
		{"number", `17`, notAnObject},
		{"boolean", `true`, notAnObject},
		{"null", `null`, notAnObject},
		{"cut off", `{"action":"ping"`, notAnObject},
		{"two objects", `{"action":"ping"}{"action":"ping"}`, notAnObject},
		{"nested beyond reason", strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000), accepted},
		{"nested far beyond reason", strings.Repeat("[", 12000), notAnObject},
		{"invalid UTF-8", "{\"action\":\"ping\",\"x\":\"\xff\"}", bad("")},
		{"UTF-8 cut off", "{\"action\":\"ping\",\"x\":\"\xe2\x82\"}", bad("")},
		{"32 KB", padded(wire.MaxFrameBytes), accepted},
		{"over 32 KB", padded(wire.MaxFrameBytes + 1), refusal{chat.TooLarge, ""}},
		{"ref of 64 bytes", `{"ref":"` + strings.Repeat("é", 32) + `"}`, accepted},
		{"ref of 65 bytes", `{"ref":"` + strings.Repeat("é", 32) + `x"}`, bad("ref")},
		{"ref that is a number", `{"ref":1}`, bad("ref")},
		{"ref of null", `{"ref":null}`, accepted},
		{"unknown fields", `{"later":{"a":[1,2]},"Ref":7}`, accepted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, send := wire.DecodeSend([]byte(tt.frame), "alice")
			_, sync := wire.DecodeSync([]byte(tt.frame), "alice")
			_, history := wire.DecodeHistory([]byte(tt.frame), "alice")
			_, ping := wire.DecodePing([]byte(tt.frame))
			if got := refused(t, ping); got != tt.want {
				t.Errorf("DecodePing = %v, want %v", got, tt.want)
			}
			if tt.want == accepted {
				return // the others miss fields
			}
			for name, err := range map[string]error{"DecodeSend": send, "DecodeSync": sync, "DecodeHistory": history} {
				if got := refused(t, err); got != tt.want {
					t.Errorf("%s = %v, want %v", name, got, tt.want)
				}
			}
		})
	}
}

// integers are the values of a field that is an integer from 1, or from 0.
func integers(field string, low int) []struct {
	value string
	want  refusal
} {
	zero := bad(field)
	if low == 0 {
		zero = accepted
	}
	return []struct {
		value string
		want  refusal
	}{
		{"1", accepted}, {"9007199254740991", accepted}, {"0", zero},
		{"9007199254740992", bad(field)}, {"9223372036854775808", bad(field)}, {"-1", bad(field)},
		{"1.5", bad(field)}, {"1.0", bad(field)}, {"1e3", bad(field)}, {`"1"`, bad(field)}, {"true", bad(field)},
		{"[1]", bad(field)}, {"{}", bad(field)}, {`""`, bad(field)},
	}
}

func TestG10_DecodeSendRefusals(t *testing.T) {
	good := map[string]string{"action": `"send"`, "ref": `"r1"`, "to": `"bob"`, "n": "1", "text": `"hi"`}
	tests := []struct {
		field, value string
		want         refusal
	}{
		{"to", "", bad("to")},
		{"to", "null", bad("to")},
		{"to", "7", bad("to")},
		{"to", `""`, bad("to")},
		{"to", `"Bob"`, bad("to")},
		{"to", `"b b"`, bad("to")},
		{"to", `"bob~carol"`, bad("to")},
		{"to", quoted(strings.Repeat("b", 36)), accepted},
		{"to", quoted(strings.Repeat("b", 37)), bad("to")},
		{"to", quoted(strings.Repeat("b", 9000)), bad("to")},
		{"to", `"alice"`, bad("to")},
		{"To", `"carol"`, accepted},
		{"conversation", `"alice~bob"`, bad("to")}, // both
		{"conversation", "null", accepted},

		{"n", "", bad("n")},
		{"n", "null", bad("n")},
		{"N", "5", accepted},

		{"text", "", bad("text")},
		{"text", "null", bad("text")},
		{"text", `""`, bad("text")},
		{"text", "1", bad("text")},
		{"text", `["hi"]`, bad("text")},
		{"text", quoted(strings.Repeat("x", 4096)), accepted},
		{"text", quoted(strings.Repeat("x", 4097)), refusal{chat.TooLarge, "text"}},
		{"text", quoted(strings.Repeat("é", 2048)), accepted},
		{"text", quoted(strings.Repeat("é", 2048) + "x"), refusal{chat.TooLarge, "text"}},
		{"text", quoted(strings.Repeat(`\u00e9`, 2048)), accepted},
		{"text", quoted(strings.Repeat(`\u00e9`, 2049)), refusal{chat.TooLarge, "text"}},
		{"text", quoted(strings.Repeat("😀", 1024)), accepted},
		{"text", quoted(strings.Repeat(`\n`, 4096)), accepted},
		{"text", quoted(strings.Repeat(`\u0001`, 4096)), accepted},
		{"text", `"\ud83d\ude00"`, accepted},
		{"text", `"\uD83D\uDE00\u0041"`, accepted},
		{"text", `"\\ud800"`, accepted}, // a backslash and letters
		{"text", `"\ud800"`, bad("text")},
		{"text", `"\ud800\n"`, bad("text")},
		{"text", `"\ud800\u0041"`, bad("text")},
		{"text", `"\ud800\ud800\udc00"`, bad("text")},
		{"text", `"\udc00"`, bad("text")},
		{"text", `"\ude00\ud83d"`, bad("text")},
		{"text", `"\u0000"`, accepted},
		{"Text", `""`, accepted}, // is not text

		{"reply_to", "null", accepted},
		{"seen", "null", accepted},
		{"unknown", `{"deep":[null]}`, accepted},
	}
	for _, n := range integers("n", 1) {
		tests = append(tests, struct {
			field, value string
			want         refusal
		}{"n", n.value, n.want})
	}
	for _, n := range integers("reply_to", 1) {
		tests = append(tests, struct {
			field, value string
			want         refusal
		}{"reply_to", n.value, n.want})
	}
	for _, n := range integers("seen", 0) {
		tests = append(tests, struct {
			field, value string
			want         refusal
		}{"seen", n.value, n.want})
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %.30s", tt.field, tt.value), func(t *testing.T) {
			r, err := wire.DecodeSend([]byte(with(good, tt.field, tt.value)), "alice")
			if got := refused(t, err); got != tt.want {
				t.Errorf("DecodeSend with %s: %.60s = %v, want %v", tt.field, tt.value, got, tt.want)
			}
			if r.Ref != "r1" {
				t.Errorf("ref = %q: the answer must repeat it even when the request is refused", r.Ref)
			}
		})
	}
}

func TestDecodeSendReadsWhatIsThere(t *testing.T) {
	tests := []struct {
		name, frame string
		want        wire.Send
	}{
		{"least", `{"to":"bob","n":1,"text":"hi"}`, wire.Send{Conversation: "alice~bob", N: 1, Text: "hi"}},
		{"all", `{"action":"send","ref":"r","to":"aaron","n":7,"text":"hi","reply_to":3,"seen":9}`,
			wire.Send{Ref: "r", Conversation: "aaron~alice", N: 7, Text: "hi", ReplyTo: 3, Seen: 9}},
		{"by conversation", `{"conversation":"alice~bob","n":1,"text":"hi"}`, wire.Send{Conversation: "alice~bob", N: 1, Text: "hi"}},
		{"escapes", `{"to":"bob","n":1,"text":"\u00e9\ud83d\ude00\/\"<&>"}`, wire.Send{Conversation: "alice~bob", N: 1, Text: `é😀/"<&>`}},
		{"the last of a name counts", `{"to":"carol","n":1,"n":2,"text":"a","text":"b","to":"bob"}`, wire.Send{Conversation: "alice~bob", N: 2, Text: "b"}},
		{"white space", " {\"to\" : \"bob\" ,\n\"n\":1,\t\"text\":\"hi\"}\r\n", wire.Send{Conversation: "alice~bob", N: 1, Text: "hi"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := wire.DecodeSend([]byte(tt.frame), "alice")
			if err != nil || got != tt.want {
				t.Errorf("DecodeSend(%s) = %+v, %v, want %+v", tt.frame, got, err, tt.want)
			}
		})
	}
}

// G9: nobody reaches into somebody else's conversation, however it is named.
func TestG9_ConversationsOfOthers(t *testing.T) {
	tests := []struct {
		id   string
		want refusal
	}{
		{"alice~bob", accepted},
		{"aaron~alice", accepted},
		{"bob~carol", refusal{chat.Forbidden, "conversation"}},
		{"alic~bob", refusal{chat.Forbidden, "conversation"}},
		{"bob~alice", bad("conversation")},
		{"alice~alice", bad("conversation")},
		{"alice", bad("conversation")},
		{"alice~", bad("conversation")},
		{"~alice", bad("conversation")},
		{"alice~bob~carol", bad("conversation")},
		{"alice~Bob", bad("conversation")},
		{"alice~bob#alice/d", bad("conversation")},
		{"", bad("conversation")},
	}
	for _, tt := range tests {
		t.Run(tt.id, func(t *testing.T) {
			_, err := wire.DecodeSend(fmt.Appendf(nil, `{"conversation":%q,"n":1,"text":"hi"}`, tt.id), "alice")
			if got := refused(t, err); got != tt.want {
				t.Errorf("DecodeSend = %v, want %v", got, tt.want)
			}
			_, err = wire.DecodeHistory(fmt.Appendf(nil, `{"conversation":%q,"after":0}`, tt.id), "alice")
			if got := refused(t, err); got != tt.want {
				t.Errorf("DecodeHistory = %v, want %v", got, tt.want)
			}
			_, err = wire.DecodeSync(fmt.Appendf(nil, `{"cursors":{%q:1}}`, tt.id), "alice")
			want := tt.want
			if want.field != "" {
				want.field = "cursors"
			}
			if got := refused(t, err); got != want {
				t.Errorf("DecodeSync = %v, want %v", got, want)
			}
		})
	}
}

func TestG10_DecodeSyncRefusals(t *testing.T) {
	good := map[string]string{"action": `"sync"`, "ref": `"r1"`}
	tests := []struct {
		field, value string
		want         refusal
	}{
		{"action", `"sync"`, accepted},
		{"cursors", "null", accepted},
		{"cursors", "{}", accepted},
		{"cursors", `{"alice~bob":0,"alice~carol":9007199254740991}`, accepted},
		{"cursors", `[]`, bad("cursors")},
		{"cursors", `"alice~bob"`, bad("cursors")},
		{"cursors", `7`, bad("cursors")},
		{"cursors", `{"alice~bob":-1}`, bad("cursors")},
		{"cursors", `{"alice~bob":1.5}`, bad("cursors")},
		{"cursors", `{"alice~bob":1e3}`, bad("cursors")},
		{"cursors", `{"alice~bob":"1"}`, bad("cursors")},
		{"cursors", `{"alice~bob":null}`, bad("cursors")},
		{"cursors", `{"alice~bob":9007199254740992}`, bad("cursors")},
		{"cursors", `{"alice~bob":{"seq":1}}`, bad("cursors")},
		{"since", "null", accepted},
		{"since", `""`, accepted},
		{"since", "1", bad("since")},
		{"since", quoted(strings.Repeat("x", 512)), accepted},
		{"since", quoted(strings.Repeat("x", 513)), bad("since")},
		{"since", `"\ud800"`, bad("since")},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %.30s", tt.field, tt.value), func(t *testing.T) {
			r, err := wire.DecodeSync([]byte(with(good, tt.field, tt.value)), "alice")
			if got := refused(t, err); got != tt.want {
				t.Errorf("DecodeSync with %s: %.60s = %v, want %v", tt.field, tt.value, got, tt.want)
			}
			if r.Ref != "r1" {
				t.Errorf("ref = %q: the answer must repeat it even when the request is refused", r.Ref)
			}
		})
	}
}

func TestG10_DecodeHistoryRefusals(t *testing.T) {
	good := map[string]string{"action": `"history"`, "ref": `"r1"`, "conversation": `"alice~bob"`, "after": "5"}
	type test struct {
		field, value string
		want         refusal
	}
	tests := []test{
		{"conversation", "", bad("conversation")},
		{"conversation", "null", bad("conversation")},
		{"conversation", "1", bad("conversation")},
		{"after", "", bad("after")},     // neither
		{"before", "9", bad("after")},   // both
		{"before", "0", bad("before")},  // there is nothing before the first
		{"before", "-1", bad("before")}, // is not "absent"
		{"after", "-1", bad("after")},
		{"before", "null", accepted},
		{"limit", "null", accepted},
		{"limit", "0", bad("limit")},
		{"limit", "1", accepted},
		{"limit", "100", accepted},
		{"limit", "101", bad("limit")},
		{"limit", "9007199254740992", bad("limit")},
		{"limit", "2.5", bad("limit")},
		{"limit", `"10"`, bad("limit")},
	}
	for _, n := range integers("after", 0) {
		tests = append(tests, test{"after", n.value, n.want})
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %.30s", tt.field, tt.value), func(t *testing.T) {
			r, err := wire.DecodeHistory([]byte(with(good, tt.field, tt.value)), "alice")
			if got := refused(t, err); got != tt.want {
				t.Errorf("DecodeHistory with %s: %.60s = %v, want %v", tt.field, tt.value, got, tt.want)
			}
			if r.Ref != "r1" {
				t.Errorf("ref = %q: the answer must repeat it even when the request is refused", r.Ref)
			}
		})
	}
}

func TestDecodeHistoryReadsWhatIsThere(t *testing.T) {
	tests := []struct {
		frame string
		want  wire.History
	}{
		{`{"conversation":"alice~bob","after":0}`, wire.History{Conversation: "alice~bob", After: 0, Before: -1, Limit: 100}},
		{`{"conversation":"alice~bob","before":1,"limit":7,"ref":"r"}`, wire.History{Ref: "r", Conversation: "alice~bob", After: -1, Before: 1, Limit: 7}},
	}
	for _, tt := range tests {
		if got, err := wire.DecodeHistory([]byte(tt.frame), "alice"); err != nil || got != tt.want {
			t.Errorf("DecodeHistory(%s) = %+v, %v, want %+v", tt.frame, got, err, tt.want)
		}
	}
}

func TestPeekReadsWhatItCan(t *testing.T) {
	tests := []struct{ name, frame, action, ref string }{
		{"both", `{"action":"dance","ref":"r1"}`, "dance", "r1"},
		{"no ref", `{"action":"dance"}`, "dance", ""},
		{"no action", `{"ref":"r1"}`, "", "r1"},
		{"action of another type", `{"action":7,"ref":"r1"}`, "", "r1"},
		{"action that is empty", `{"action":"","ref":"r1"}`, "", "r1"},
		{"Action is not action", `{"Action":"send","ref":"r1"}`, "", "r1"},
		{"over-long action", `{"action":"` + strings.Repeat("x", 65) + `","ref":"r1"}`, "", "r1"},
		{"bad ref", `{"action":"dance","ref":7}`, "", ""},
		{"not JSON", `dance`, "", ""},
		{"too large", `{"action":"dance","x":"` + strings.Repeat("x", wire.MaxFrameBytes) + `"}`, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if action, ref := wire.Peek([]byte(tt.frame)); action != tt.action || ref != tt.ref {
				t.Errorf("Peek = %q, %q, want %q, %q", action, ref, tt.action, tt.ref)
			}
		})
	}
}

// A refused value does not come back whole: an error frame stays small.
func TestG10_ErrorsAreSmall(t *testing.T) {
	huge := strings.Repeat("9", 30000)
	for _, frame := range []string{
		`{"to":"bob","n":` + huge + `,"text":"x"}`,
		`{"to":"` + huge + `","n":1,"text":"x"}`,
		`{"conversation":"` + huge + `","n":1,"text":"x"}`,
		`{"to":"bob","n":1,"text":[` + huge + `]}`,
		`{"to":"bob","n":1,"text":"` + strings.Repeat("é", 14000) + `"}`,
	} {
		_, err := wire.DecodeSend([]byte(frame), "alice")
		var e *chat.Error
		if !errors.As(err, &e) {
			t.Fatalf("DecodeSend(%.40s…) = %v, want a refusal", frame, err)
		}
		if b, err := wire.Encode(wire.NewError("", e)); err != nil || len(b) > 512 {
			t.Errorf("the error frame has %d bytes (%v), want at most 512", len(b), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, frame := range goldenRequests(f) {
		f.Add(frame)
	}
	f.Add([]byte(`{"to":"bob","n":1e3,"text":"\ud800\\","cursors":{"alice~bob":null}}`))
	inRange := func(t *testing.T, name string, n, low int64) {
		if n < low || n > wire.MaxNumber {
			t.Errorf("%s = %d, want %d to %d", name, n, low, int64(wire.MaxNumber))
		}
	}
	member := func(t *testing.T, c chat.ConversationID) {
		if id, err := chat.ParseConversation(string(c)); err != nil {
			t.Errorf("conversation %q: %v", c, err)
		} else if _, ok := id.Peer("alice"); !ok {
			t.Errorf("conversation %q is somebody else's", c)
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		action, ref := wire.Peek(frame)
		if len(action) > wire.MaxRefBytes || len(ref) > wire.MaxRefBytes {
			t.Errorf("Peek = %q, %q: over their limits", action, ref)
		}
		if r, err := wire.DecodeSend(frame, "alice"); err == nil {
			member(t, r.Conversation)
			inRange(t, "n", r.N, 1)
			inRange(t, "reply_to", r.ReplyTo, 0)
			inRange(t, "seen", r.Seen, 0)
			push, err := wire.Encode(wire.Push(chat.Message{
				Conversation: r.Conversation, Seq: math.MaxInt64, From: "alice", Device: "d", N: r.N, Kind: chat.KindText,
				Text: r.Text, ReplyTo: r.ReplyTo, At: math.MaxInt64,
			}))
			if err != nil || len(push) > wire.MaxFrameBytes {
				t.Errorf("what was accepted is pushed as a frame of %d bytes (%v)", len(push), err)
			}
			if got := decodeFrame[wire.Message](t, push).Text; got != r.Text || got == "" {
				t.Errorf("text %q is pushed as %q", r.Text, got)
			}
		}
		if r, err := wire.DecodeSync(frame, "alice"); err == nil {
			for c, seq := range r.Cursors {
				member(t, c)
				inRange(t, "cursor", seq, 0)
			}
			if len(r.Since) > wire.MaxSinceBytes {
				t.Errorf("since has %d bytes", len(r.Since))
			}
		}
		if r, err := wire.DecodeHistory(frame, "alice"); err == nil {
			member(t, r.Conversation)
			if (r.After < 0) == (r.Before < 0) || r.Limit < 1 || r.Limit > wire.MaxPageMessages {
				t.Errorf("DecodeHistory(%s) = %+v", frame, r)
			}
		}
		if r, err := wire.DecodePing(frame); err == nil && r.Ref != ref {
			t.Errorf("DecodePing reads ref %q, Peek %q", r.Ref, ref)
		}
	})
}
