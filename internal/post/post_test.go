package post_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/duet-chat/duet/internal/post"
)

// gateway answers @connections with one status after the other, the last one for ever.
type gateway struct {
	statuses []int
	calls    []string
	bodies   []string
	hang     bool
}

func (g *gateway) Do(r *http.Request) (*http.Response, error) {
	g.calls = append(g.calls, r.Method+" "+r.URL.EscapedPath())
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		g.bodies = append(g.bodies, string(body))
	}
	if g.hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	status := g.statuses[min(len(g.calls), len(g.statuses))-1]
	header := http.Header{}
	switch status {
	case http.StatusGone:
		header.Set("x-amzn-ErrorType", "GoneException")
	case http.StatusTooManyRequests:
		header.Set("x-amzn-ErrorType", "LimitExceededException")
	}
	return &http.Response{StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: header, Body: io.NopCloser(bytes.NewReader(nil)), Request: r}, nil
}

func (g *gateway) new() *post.Gateway {
	return post.New(aws.Config{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, HTTPClient: g}, "https://id.example.com/prod")
}

// G6: what an answer of the gateway means, and how often it is asked.
func TestG6_PostOutcomes(t *testing.T) {
	tests := []struct {
		name     string
		statuses []int
		calls    int
		ok, gone bool
	}{
		{"delivered", []int{200}, 1, true, false},
		{"gone", []int{410}, 1, false, true},
		{"a slow reader is not pressed", []int{429}, 1, false, false},
		{"a fault that passes", []int{500, 200}, 2, true, false},
		{"another one", []int{503, 200}, 2, true, false},
		{"a fault that stays", []int{502}, 2, false, false},
		{"gone after a fault", []int{504, 410}, 2, false, true},
		{"no permission", []int{403}, 1, false, false},
		{"too large", []int{413}, 1, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the SDK waits between its tries
				g := &gateway{statuses: tt.statuses}
				start := time.Now()
				err := g.new().Post(t.Context(), "R1kmxc2VNjMCFIA=", []byte(`{"type":"behind"}`))
				if (err == nil) != tt.ok || errors.Is(err, post.ErrGone) != tt.gone || len(g.calls) != tt.calls {
					t.Errorf("Post = %v after %d calls, want ok %v, gone %v, %d calls", err, len(g.calls), tt.ok, tt.gone, tt.calls)
				}
				if err != nil && !strings.Contains(err.Error(), "R1kmxc2VNjMCFIA=") {
					t.Errorf("Post = %v: which connection?", err)
				}
				if took := time.Since(start); took > 200*time.Millisecond {
					t.Errorf("it took %v: a live message does not wait so long", took)
				}
				for i, call := range g.calls {
					if want := "POST /prod/@connections/R1kmxc2VNjMCFIA%3D"; call != want || g.bodies[i] != `{"type":"behind"}` {
						t.Errorf("call %d = %s with %s, want %s", i, call, g.bodies[i], want)
					}
				}
			})
		})
	}
}

func TestClose(t *testing.T) {
	for status, want := range map[int]struct{ ok, gone bool }{204: {ok: true}, 410: {gone: true}, 403: {}} {
		g := &gateway{statuses: []int{status}}
		if err := g.new().Close(t.Context(), "a/b="); (err == nil) != want.ok || errors.Is(err, post.ErrGone) != want.gone {
			t.Errorf("Close answered %d = %v", status, err)
		}
		if want := "DELETE /prod/@connections/a%2Fb%3D"; g.calls[0] != want {
			t.Errorf("call = %s, want %s", g.calls[0], want)
		}
	}
}

// A connection that takes no frames holds nobody up for longer than two seconds.
func TestG10_PostGivesUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gateway{hang: true}
		start := time.Now()
		err := g.new().Post(context.Background(), "c", []byte("{}"))
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, post.ErrGone) || took > 2*time.Second {
			t.Errorf("Post = %v after %v", err, took)
		}
	})
}
