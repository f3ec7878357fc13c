package wire_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/wire"
)

// The files in testdata hold one frame each, as it stands on the wire. Their names begin with
// the frame's type, or with request_, push_ or error_. Clients in other languages read them too.

// golden returns the frames whose files match a pattern, by file name.
func golden(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/" + pattern + ".json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden frames %s: %v", pattern, err)
	}
	frames := map[string][]byte{}
	for _, path := range paths {
		frame, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		frames[name] = bytes.TrimSuffix(frame, []byte("\n"))
	}
	return frames
}

func goldenRequests(t testing.TB) map[string][]byte { return golden(t, "request_*") }

// decodeFrame reads a frame of the server and refuses what the type has no field for.
func decodeFrame[T any](t testing.TB, frame []byte) T {
	t.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(frame))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", frame, err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("%s: something follows the frame", frame)
	}
	return v
}

// frameTypes are the Go types of the frames that the server sends.
var frameTypes = map[wire.Type]reflect.Type{
	wire.TypeSent:    reflect.TypeFor[wire.Sent](),
	wire.TypeSynced:  reflect.TypeFor[wire.Synced](),
	wire.TypePage:    reflect.TypeFor[wire.Page](),
	wire.TypePong:    reflect.TypeFor[wire.Pong](),
	wire.TypeError:   reflect.TypeFor[wire.Error](),
	wire.TypeMessage: reflect.TypeFor[wire.Message](),
	wire.TypeBehind:  reflect.TypeFor[wire.Behind](),
	wire.TypeClosing: reflect.TypeFor[wire.Closing](),

	wire.TypeOK:       reflect.TypeFor[wire.OK](),
	wire.TypeAcked:    reflect.TypeFor[wire.Acked](),
	wire.TypeReceipt:  reflect.TypeFor[wire.Receipt](),
	wire.TypeTyping:   reflect.TypeFor[wire.TypingPush](),
	wire.TypePresence: reflect.TypeFor[wire.Presence](),
	wire.TypeAccount:  reflect.TypeFor[wire.AccountFrame](),
	wire.TypeErased:   reflect.TypeFor[wire.Erased](),
}

// Every frame of the server is read without loss and written byte for byte.
func TestGoldenServerFrames(t *testing.T) {
	seen := map[wire.Type]bool{}
	for name, frame := range golden(t, "*") {
		if strings.HasPrefix(name, "request_") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var head struct{ Type wire.Type }
			if err := json.Unmarshal(frame, &head); err != nil {
				t.Fatal(err)
			}
			seen[head.Type] = true
			kind := frameTypes[head.Type]
			if strings.HasPrefix(name, "push_presence") {
				kind = reflect.TypeFor[wire.PresencePush]()
			}
			if kind == nil {
				t.Fatalf("there is no type for %q frames", head.Type)
			}
			v := reflect.New(kind)
			d := json.NewDecoder(bytes.NewReader(frame))
			d.DisallowUnknownFields()
			if err := d.Decode(v.Interface()); err != nil {
				t.Fatal(err)
			}
			got, err := wire.Encode(v.Elem().Interface())
			if err != nil || string(got) != string(frame) {
				t.Errorf("encoded again: %v\n got %s\nwant %s", err, got, frame)
			}
		})
	}
	for kind := range frameTypes {
		if !seen[kind] {
			t.Errorf("no golden frame has type %q", kind)
		}
	}
}

// Every code has a golden error, which NewError makes of a refusal.
func TestGoldenErrors(t *testing.T) {
	seen := map[chat.Code]bool{}
	for name, frame := range golden(t, "error_*") {
		e := decodeFrame[wire.Error](t, frame)
		seen[e.Code] = true
		if !strings.HasPrefix(name, "error_"+string(e.Code)) {
			t.Errorf("%s holds code %q", name, e.Code)
		}
	}
	for _, code := range allCodes {
		if !seen[code] {
			t.Errorf("no golden error has code %q", code)
		}
	}
	last := int64(0)
	refusal := chat.Refuse(chat.OutOfOrder, "n", "n is 2, but the last accepted one of this device is 0: send again from 1")
	refusal.LastN, refusal.Retry = &last, true
	got, err := wire.Encode(wire.NewError("s1", refusal))
	if want := golden(t, "error_out_of_order_first")["error_out_of_order_first"]; err != nil || string(got) != string(want) {
		t.Errorf("NewError = %s, %v, want %s", got, err, want)
	}
}

func TestGoldenRequests(t *testing.T) {
	want := map[string]any{
		"request_send":            wire.Send{Ref: "s1", Conversation: "alice~bob", N: 1, Text: "hello"},
		"request_send_reply":      wire.Send{Ref: "s2", Conversation: "alice~bob", N: 2, Text: "„Grüße“ 😀 <b>&\n\"quoted\"", ReplyTo: 1, Seen: 3},
		"request_sync":            wire.Sync{Ref: "y1", Cursors: map[chat.ConversationID]int64{"alice~bob": 1, "alice~carol": 0}, Since: "1 9f2c41d07be3a865 1790000000000"},
		"request_sync_everything": wire.Sync{},
		"request_history_after":   wire.History{Ref: "h1", Conversation: "alice~bob", After: 1, Before: -1, Limit: 50},
		"request_history_before":  wire.History{Ref: "h2", Conversation: "alice~bob", After: -1, Before: wire.MaxNumber, Limit: wire.MaxPageMessages},
		"request_ping":            wire.Ping{Ref: "p1"},
		"request_edit":            wire.Entry{Ref: "e1", Kind: chat.KindEdit, Conversation: "alice~bob", N: 3, Target: 1, Text: "hello, bob", Seen: 3},
		"request_unsend":          wire.Entry{Ref: "e2", Kind: chat.KindUnsend, Conversation: "alice~bob", N: 4, Target: 1},
		"request_react":           wire.Entry{Ref: "e3", Kind: chat.KindReaction, Conversation: "alice~bob", N: 5, Target: 2, Emoji: "👍🏽"},
		"request_react_back":      wire.Entry{Ref: "e4", Kind: chat.KindReaction, Conversation: "alice~bob", N: 6, Target: 2},
		"request_ack":             wire.Ack{Ref: "a1", Conversation: "alice~bob", Delivered: 6, Read: 3},
		"request_typing":          wire.Typing{Ref: "t1", Conversation: "alice~bob", On: true},
		"request_presence":        wire.Watch{Ref: "w1", Users: []chat.User{"bob", "carol"}, Visible: new(bool)},
		"request_block":           wire.Block{Ref: "b1", User: "bob", On: true},
		"request_unblock":         wire.Block{Ref: "b2", User: "bob"},
		"request_account":         wire.Account{Ref: "c1"},
		"request_signout":         wire.SignOut{Ref: "o1", Scope: chat.OtherSessions},
		"request_erase":           wire.Erase{Ref: "x1"},
	}
	for name, frame := range goldenRequests(t) {
		t.Run(name, func(t *testing.T) {
			var got any
			var err error
			action, _ := wire.Peek(frame)
			switch wire.Action(action) {
			case wire.ActionSend:
				got, err = wire.DecodeSend(frame, "alice")
			case wire.ActionSync:
				got, err = wire.DecodeSync(frame, "alice")
			case wire.ActionHistory:
				got, err = wire.DecodeHistory(frame, "alice")
			case wire.ActionPing:
				got, err = wire.DecodePing(frame)
			case wire.ActionEdit, wire.ActionUnsend, wire.ActionReact:
				got, err = wire.DecodeEntry(frame, "alice")
			case wire.ActionAck:
				got, err = wire.DecodeAck(frame, "alice")
			case wire.ActionTyping:
				got, err = wire.DecodeTyping(frame, "alice")
			case wire.ActionWatch:
				got, err = wire.DecodeWatch(frame, "alice")
			case wire.ActionBlock, wire.ActionUnblock:
				got, err = wire.DecodeBlock(frame, "alice")
			case wire.ActionAccount:
				got, err = wire.DecodeAccount(frame)
			case wire.ActionSignOut:
				got, err = wire.DecodeSignOut(frame)
			case wire.ActionErase:
				got, err = wire.DecodeErase(frame, "alice")
			default:
				t.Fatalf("there is no action %q", action)
			}
			if diff := cmp.Diff(want[name], got); err != nil || diff != "" {
				t.Errorf("%v; differs (-want +got):\n%s", err, diff)
			}
			// Written again it is the same frame: nothing in it depends on white space or order.
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(frame, &fields); err != nil {
				t.Fatal(err)
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, frame); err != nil || compact.String() != string(frame) {
				t.Errorf("the file is not written as on the wire: %v", err)
			}
		})
	}
}
