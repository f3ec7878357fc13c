package gateway_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/duet-chat/duet/localstack/gateway"
)

// rawConn is a WebSocket whose frames are made by hand.
type rawConn struct {
	net.Conn
	t testing.TB
}

func (s *server) raw() rawConn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.host)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, "GET /prod HTTP/1.1\r\nHost: "+s.host+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	head := make([]byte, 0, 512)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		var b [1]byte
		if _, err := conn.Read(b[:]); err != nil {
			s.t.Fatal(err)
		}
		head = append(head, b[0])
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101")) {
		s.t.Fatalf("handshake: %s", head)
	}
	return rawConn{conn, s.t}
}

// frame makes a masked frame.
func frame(op ws.OpCode, fin bool, payload string) []byte {
	var b bytes.Buffer
	_ = ws.WriteFrame(&b, ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload))))
	return b.Bytes()
}

func text(payload string) []byte { return frame(ws.OpText, true, payload) }

// next reads one frame of the gateway.
func (c rawConn) next() (ws.OpCode, string) {
	c.t.Helper()
	h, err := ws.ReadHeader(c)
	if err != nil {
		c.t.Fatal(err)
	}
	if h.Masked || !h.Fin || h.Rsv != 0 {
		c.t.Fatalf("header %+v: masked, fragmented or with reserved bits", h)
	}
	p := make([]byte, h.Length)
	if _, err := io.ReadFull(c, p); err != nil {
		c.t.Fatal(err)
	}
	return h.OpCode, string(p)
}

// AWS reference 3 and RFC 6455: what a frame may be, and the code that ends the connection otherwise.
func TestFrameRules(t *testing.T) {
	unmasked := []byte{0x81, 1, 'x'}
	header := func(op byte, length uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{0x80 | op, 0x80 | 127}, length), 0, 0, 0, 0)
	}
	tests := map[string]struct {
		send []byte
		code ws.StatusCode // zero: the echo of the whole text comes back
		text string
	}{
		"empty text":               {text(""), 0, ""},
		"frame of 32 KB":           {text(strings.Repeat("x", 32<<10)), 0, strings.Repeat("x", 32<<10)},
		"frame of 32 KB + 1":       {text(strings.Repeat("x", 32<<10+1)), ws.StatusMessageTooBig, ""},
		"length beyond memory":     {header(1, 1<<62), ws.StatusMessageTooBig, ""},
		"length with the top bit":  {header(1, 1<<63), ws.StatusProtocolError, ""},
		"message of 128 KB":        {fragments(4, 32<<10), 0, strings.Repeat("x", 128<<10)},
		"message of 128 KB + more": {append(fragments(4, 32<<10)[:4*(32<<10+8)-32<<10-8], append(frame(ws.OpContinuation, false, strings.Repeat("x", 32<<10)), frame(ws.OpContinuation, true, "x")...)...), ws.StatusMessageTooBig, ""},
		"binary":                   {frame(ws.OpBinary, true, "x"), ws.StatusUnsupportedData, ""},
		"fragmented binary":        {frame(ws.OpBinary, false, "x"), ws.StatusUnsupportedData, ""},
		"invalid UTF-8":            {text("\xff"), ws.StatusInvalidFramePayloadData, ""},
		"surrogate in UTF-8":       {text("\xed\xa0\x80"), ws.StatusInvalidFramePayloadData, ""},
		"rune cut by frames":       {append(frame(ws.OpText, false, "\xf0\x9f"), frame(ws.OpContinuation, true, "\x98\x80")...), 0, "\U0001F600"},
		"rune never finished":      {append(frame(ws.OpText, false, "\xf0\x9f"), frame(ws.OpContinuation, true, "")...), ws.StatusInvalidFramePayloadData, ""},
		"unmasked":                 {unmasked, ws.StatusProtocolError, ""},
		"reserved op code":         {frame(3, true, ""), ws.StatusProtocolError, ""},
		"reserved bits":            {[]byte{0xc1, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError, ""},
		"continuation of nothing":  {frame(ws.OpContinuation, true, "x"), ws.StatusProtocolError, ""},
		"text within a message":    {append(frame(ws.OpText, false, "a"), text("b")...), ws.StatusProtocolError, ""},
		"long ping":                {frame(ws.OpPing, true, strings.Repeat("x", 126)), ws.StatusProtocolError, ""},
		"fragmented ping":          {frame(ws.OpPing, false, ""), ws.StatusProtocolError, ""},
		"ping within a message":    {bytes.Join([][]byte{frame(ws.OpText, false, "a"), frame(ws.OpPong, true, "?"), frame(ws.OpContinuation, true, "b")}, nil), 0, "ab"},
		"close of one byte":        {frame(ws.OpClose, true, "x"), ws.StatusProtocolError, ""},
		"close with 1005":          {frame(ws.OpClose, true, "\x03\xed"), ws.StatusProtocolError, ""},
	}
	api := chatAPI()
	api.Routes["$default"] = gateway.Route{Function: "echo", Reply: true}
	s := start(t, api, gateway.Options{Invoker: chatFunctions().with("connect", answer(ok))})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := s.raw()
			// What follows must not reach the client after a close frame.
			go func() { _, _ = c.Write(append(test.send, text("after")...)) }()
			op, payload := c.next()
			switch {
			case test.code == 0 && test.text == "": // an empty body is no reply
				if payload != "after" {
					t.Errorf("frame %d %.80q, want the next message's", op, payload)
				}
			case test.code == 0:
				if op != ws.OpText || payload != test.text && payload != "after" {
					t.Errorf("frame %d %.80q, want %.80q", op, payload, test.text)
				}
			case op != ws.OpClose || binary.BigEndian.Uint16([]byte(payload)) != uint16(test.code):
				t.Errorf("frame %d %.80q, want close %d", op, payload, test.code)
			default:
				if n, err := c.Read(make([]byte, 1)); err == nil {
					t.Errorf("%d bytes after the close frame", n)
				}
			}
		})
	}
}

// fragments is a message of n frames of x.
func fragments(n, size int) []byte {
	var b []byte
	for i := range n {
		op := ws.OpContinuation
		if i == 0 {
			op = ws.OpText
		}
		b = append(b, frame(op, i == n-1, strings.Repeat("x", size))...)
	}
	return b
}

func TestPingIsAnsweredWithItsPayload(t *testing.T) {
	c := startChat(t, chatFunctions(), gateway.Limits{}).raw()
	for _, payload := range []string{"", "hello", strings.Repeat("p", 125)} {
		_, _ = c.Write(frame(ws.OpPing, true, payload))
		if op, got := c.next(); op != ws.OpPong || got != payload {
			t.Errorf("frame %d %q, want pong %q", op, got, payload)
		}
	}
}

// Frames cut anywhere by the network are put together again.
func TestFramesInPieces(t *testing.T) {
	c := startChat(t, chatFunctions(), gateway.Limits{}).raw()
	long := `{"action":"echo","x":"` + strings.Repeat("y", 3000) + `"}`
	stream := append(text(`{"action":"echo"}`), text(long)...)
	_ = c.Conn.(*net.TCPConn).SetNoDelay(true)
	go func() {
		for i := 0; i < len(stream); i += 7 {
			_, _ = c.Write(stream[i:min(i+7, len(stream))])
		}
	}()
	got := map[string]bool{}
	for range 2 {
		_, payload := c.next()
		got[payload] = true
	}
	if !got[long] || !got[`{"action":"echo"}`] {
		t.Error("a message did not come back whole")
	}
}

// A client may send right behind its handshake, without waiting for the 101.
func TestFramesSentWithTheHandshake(t *testing.T) {
	s := startChat(t, chatFunctions(), gateway.Limits{})
	conn, err := net.Dial("tcp", s.host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = conn.Write(append([]byte("GET /prod HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), text("early")...))
	var got []byte
	for !bytes.HasSuffix(got, []byte("\x81\x08fallback")) {
		b := make([]byte, 512)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, b[:n]...)
	}
}
