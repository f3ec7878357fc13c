package gateway

import (
	"bytes"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

func clientFrame(op ws.OpCode, fin bool, payload string) []byte {
	var b bytes.Buffer
	_ = ws.WriteFrame(&b, ws.MaskFrameWith(ws.NewFrame(op, fin, []byte(payload)), [4]byte{1, 2, 3, 4}))
	return b.Bytes()
}

// Whatever bytes come, the reader ends, keeps the limits, gives only valid text,
// and gives the same however the network cuts the bytes.
func FuzzFrameReader(f *testing.F) {
	f.Add(clientFrame(ws.OpText, true, "hello"))
	f.Add(append(clientFrame(ws.OpText, false, "he"), clientFrame(ws.OpContinuation, true, "llo")...))
	f.Add(append(clientFrame(ws.OpPing, true, "p"), clientFrame(ws.OpClose, true, "\x03\xe8bye")...))
	f.Add([]byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	limits := Limits{FrameBytes: 64, MessageBytes: 100}
	type item struct {
		op      ws.OpCode
		payload string
	}
	run := func(t *testing.T, r *frameReader) (items []item, code ws.StatusCode) {
		defer r.close()
		for {
			op, payload, end := r.next()
			if end != nil {
				return items, end.code
			}
			if op == ws.OpText && (!utf8.Valid(payload) || len(payload) > limits.MessageBytes) || op.IsControl() && len(payload) > 125 {
				t.Fatalf("op %d, %d bytes %q", op, len(payload), payload)
			}
			items = append(items, item{op, string(payload)})
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, code := run(t, newFrameReader(bytes.NewReader(stream), limits))
		pieces, code2 := run(t, newFrameReader(iotest.OneByteReader(bytes.NewReader(stream)), limits))
		if code != code2 || len(whole) != len(pieces) {
			t.Fatalf("whole: %d items, %d; in pieces: %d items, %d", len(whole), code, len(pieces), code2)
		}
		for i := range whole {
			if whole[i] != pieces[i] {
				t.Errorf("item %d: whole %v, in pieces %v", i, whole[i], pieces[i])
			}
		}
	})
}

// A declared length alone must not make the reader take memory.
func TestLengthIsNotBelievedBeforeTheLimits(t *testing.T) {
	r := newFrameReader(bytes.NewReader([]byte{0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4}), Limits{}.orAWS())
	if _, _, end := r.next(); end == nil || end.code != ws.StatusMessageTooBig {
		t.Errorf("end %v, want 1009", end)
	}
}
