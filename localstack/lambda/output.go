package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
)

// maxLine bounds a line of a function's output, in bytes; what is longer is cut in pieces.
// Source: CloudWatch Logs user guide, "CloudWatch Logs quotas", event size.
const maxLine = 256 << 10

// lineLogger writes a process's output to the log, a line an entry: with the line's own level when
// it is of a JSON log, otherwise as a warning, for a function that prints anything else has crashed
// or is being debugged. os/exec calls it from one goroutine at a time.
type lineLogger struct {
	log  *slog.Logger
	rest []byte // the beginning of a line
}

func (l *lineLogger) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	start := 0
	for {
		n := bytes.IndexByte(l.rest[start:], '\n')
		if n < 0 {
			break
		}
		l.entry(l.rest[start : start+n])
		start += n + 1
	}
	l.rest = append(l.rest[:0], l.rest[start:]...)
	if len(l.rest) >= maxLine {
		l.flush()
	}
	return len(p), nil
}

func (l *lineLogger) entry(line []byte) {
	if line = bytes.TrimRight(line, "\r"); len(line) == 0 {
		return
	}
	structured := struct {
		Level slog.Level `json:"level"`
	}{slog.LevelWarn}
	if json.Unmarshal(line, &structured) != nil {
		structured.Level = slog.LevelWarn
	}
	l.log.Log(context.Background(), structured.Level, "output", "line", string(line))
}

// flush writes what has no line end.
func (l *lineLogger) flush() {
	l.entry(l.rest)
	l.rest = l.rest[:0]
}
