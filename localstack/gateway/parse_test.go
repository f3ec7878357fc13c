package gateway

import (
	"strings"
	"testing"
	"time"
)

func TestParseLimits(t *testing.T) {
	got, err := ParseLimits(map[string]string{
		"frame-bytes": "1", "message-bytes": "2", "send-buffer-bytes": "3", "idle": "4s", "duration": "1m30s", "integration-timeout": "6ms",
		"write-timeout": "7s", "concurrency": "8", "requests": "9", "request-burst": "10", "new-connections": "11",
	})
	want := Limits{
		FrameBytes: 1, MessageBytes: 2, SendBufferBytes: 3, Idle: 4 * time.Second, Duration: 90 * time.Second, IntegrationTimeout: 6 * time.Millisecond,
		WriteTimeout: 7 * time.Second, Concurrency: 8, Requests: 9, RequestBurst: 10, NewConnections: 11,
	}
	if err != nil || got != want {
		t.Errorf("ParseLimits = %+v, %v, want %+v", got, err, want)
	}
	if got, err := ParseLimits(nil); err != nil || got != (Limits{}) {
		t.Errorf("ParseLimits of nothing = %+v, %v", got, err)
	}
}

func TestLimitsThatAreRefused(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"idel", "5s", "idel=5s: there is no limit of this name: there are concurrency, duration, frame-bytes, idle, "},
		{"?", "?", "there are concurrency, "},
		{"idle", "5", "idle=5: it must be a time above 0, as in 5s"},
		{"idle", "0s", "above 0"},
		{"duration", "-1m", "above 0"},
		{"requests", "many", "requests=many: it must be a whole number above 0"},
		{"requests", "0", "above 0"},
		{"message-bytes", "4KB", "whole number"},
	} {
		if _, err := ParseLimits(map[string]string{test.name: test.value}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s=%s: %v, want an error with %q", test.name, test.value, err, test.want)
		}
	}
}
