package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// named are the limits that a command line can set, each an *int or a *time.Duration.
func (l *Limits) named() map[string]any {
	return map[string]any{
		"frame-bytes": &l.FrameBytes, "message-bytes": &l.MessageBytes, "send-buffer-bytes": &l.SendBufferBytes,
		"idle": &l.Idle, "duration": &l.Duration, "integration-timeout": &l.IntegrationTimeout, "write-timeout": &l.WriteTimeout,
		"concurrency": &l.Concurrency, "requests": &l.Requests, "request-burst": &l.RequestBurst, "new-connections": &l.NewConnections,
	}
}

// ParseLimits reads limits by name, as in idle: 5s and message-bytes: 4096. Those that are not there
// are AWS's. The error names what is wrong, and what is allowed.
func ParseLimits(values map[string]string) (Limits, error) {
	var l Limits
	known := l.named()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		switch field := known[name].(type) {
		case *time.Duration:
			d, err := time.ParseDuration(value)
			if err != nil || d <= 0 {
				return l, fmt.Errorf("%s=%s: it must be a time above 0, as in 5s or 250ms", name, value)
			}
			*field = d
		case *int:
			n, err := strconv.Atoi(value)
			if err != nil || n <= 0 {
				return l, fmt.Errorf("%s=%s: it must be a whole number above 0", name, value)
			}
			*field = n
		default:
			return l, fmt.Errorf("%s=%s: there is no limit of this name: there are %s", name, value, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	return l, nil
}
