package gateway

import (
	"bufio"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// frameReader takes messages and control frames off a socket. Between frames it
// holds readAhead bytes and nothing else, so that idle connections are cheap.
type frameReader struct {
	source  *bufio.Reader
	frame   int // most bytes of a frame
	message int // most bytes of a message
	state   ws.State
	header  [ws.MaxHeaderSize]byte
	partial *[]byte // the frames of a message so far
	spent   *[]byte // what the last message was returned in
}

// readAhead is enough for a usual chat message, so that it costs one system call.
const readAhead = 1 * kilobyte

func newFrameReader(source io.Reader, limits Limits) *frameReader {
	return &frameReader{
		source: bufio.NewReaderSize(source, readAhead),
		frame:  limits.FrameBytes, message: limits.MessageBytes,
		state: ws.StateServerSide,
	}
}

// next waits for a whole text message (ws.OpText) or a control frame. The
// payload is valid until the next call. A non-nil closing says why there is
// nothing more to read.
func (r *frameReader) next() (ws.OpCode, []byte, *closing) {
	r.release(&r.spent)
	for {
		h, err := ws.ReadHeaderBuffer(r.source, r.header[:])
		if errors.Is(err, ws.ErrHeaderLengthMSB) {
			return 0, nil, violation(ws.StatusProtocolError, "frame length is not a number of 63 bits")
		} else if err != nil {
			return 0, nil, &closing{code: ws.StatusAbnormalClosure}
		}
		if end := r.check(h); end != nil {
			return 0, nil, end
		}
		single := h.OpCode.IsControl() || h.Fin && h.OpCode == ws.OpText
		payload, err := r.payload(h, single)
		if err != nil {
			return 0, nil, &closing{code: ws.StatusAbnormalClosure}
		}
		switch {
		case h.OpCode.IsControl():
			return h.OpCode, payload, nil
		case !h.Fin:
			r.state = r.state.Set(ws.StateFragmented)
			continue
		case !single:
			r.state = r.state.Clear(ws.StateFragmented)
			r.spent, r.partial = r.partial, nil
			payload = *r.spent
		}
		if !utf8.Valid(payload) {
			return 0, nil, violation(ws.StatusInvalidFramePayloadData, "text is not valid UTF-8")
		}
		return ws.OpText, payload, nil
	}
}

// check refuses what may not be sent before reading it.
func (r *frameReader) check(h ws.Header) *closing {
	if err := ws.CheckHeader(h, r.state); err != nil {
		return violation(ws.StatusProtocolError, err.Error())
	}
	if h.OpCode.IsControl() {
		return nil
	}
	begun := 0
	if r.partial != nil {
		begun = len(*r.partial)
	}
	switch {
	case h.OpCode == ws.OpBinary:
		return violation(ws.StatusUnsupportedData, "binary frames are not supported")
	case h.Length > int64(r.frame):
		return violation(ws.StatusMessageTooBig, "frame is longer than the limit")
	case h.Length > int64(r.message-begun):
		return violation(ws.StatusMessageTooBig, "message is longer than the limit")
	}
	return nil
}

// payload reads and unmasks a frame's payload. What is whole by itself and small
// stays where it was read to; longer texts and fragments go to a buffer of the pool.
func (r *frameReader) payload(h ws.Header, single bool) ([]byte, error) {
	n := int(h.Length)
	if single && n <= readAhead {
		p, err := r.source.Peek(n)
		if err != nil {
			return nil, err
		}
		ws.Cipher(p, h.Mask, 0)
		// The bytes stay in place until the next read.
		_, err = r.source.Discard(n)
		return p, err
	}
	into := &r.partial
	if single {
		into = &r.spent
	}
	if *into == nil {
		*into = getBuffer(n)
	}
	buf := **into
	start := len(buf)
	if need := start + n; cap(buf) < need {
		buf = append(make([]byte, 0, max(need, 2*cap(buf))), buf...)
	}
	buf = buf[:start+n]
	**into = buf
	if _, err := io.ReadFull(r.source, buf[start:]); err != nil {
		return nil, err
	}
	ws.Cipher(buf[start:], h.Mask, 0)
	return buf[start:], nil
}

// close gives back what the reader holds.
func (r *frameReader) close() {
	r.release(&r.spent)
	r.release(&r.partial)
}

func (r *frameReader) release(b **[]byte) {
	if *b != nil {
		putBuffer(*b)
		*b = nil
	}
}
