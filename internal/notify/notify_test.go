package notify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/notify"
)

// bus is EventBridge: it takes what it is sent, but for one event of each call if it is to refuse some.
type bus struct {
	refuses bool
	calls   [][]notify.Waiting
	raw     strings.Builder
}

func (b *bus) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	b.raw.Write(body)
	var in struct {
		Entries []struct{ EventBusName, Source, DetailType, Detail string }
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	var call []notify.Waiting
	results := make([]string, len(in.Entries))
	for i, e := range in.Entries {
		var w notify.Waiting
		if err := json.Unmarshal([]byte(e.Detail), &w); err != nil {
			return nil, err
		}
		if e.EventBusName != "phones" || e.Source != notify.Source || e.DetailType != notify.DetailType {
			return nil, fmt.Errorf("entry %+v", e)
		}
		call = append(call, w)
		results[i] = `{"EventId":"1"}`
	}
	b.calls = append(b.calls, call)
	failed := 0
	if b.refuses {
		failed, results[0] = 1, `{"ErrorCode":"ThrottlingException","ErrorMessage":"slow down"}`
	}
	answer := fmt.Sprintf(`{"FailedEntryCount":%d,"Entries":[%s]}`, failed, strings.Join(results, ","))
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader([]byte(answer))), Request: r}, nil
}

func (b *bus) open(withText bool) *notify.Bus {
	return notify.New(aws.Config{
		Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, HTTPClient: b, BaseEndpoint: aws.String("http://events"), RetryMaxAttempts: 1,
	}, "phones", withText)
}

func waiting(n int) (all []chat.Message) {
	for i := range n {
		all = append(all, chat.Message{Conversation: "alice~bob", Seq: int64(i + 1), From: "alice", At: 5, Text: "secret"})
	}
	return all
}

// Up to ten messages go in one call, each once and in order; their texts only if that is switched on.
func TestNotify(t *testing.T) {
	for _, tt := range []struct {
		messages int
		calls    string
	}{{0, "[]"}, {1, "[1]"}, {10, "[10]"}, {11, "[10 1]"}, {25, "[10 10 5]"}} {
		for _, withText := range []bool{false, true} {
			b := &bus{}
			if err := b.open(withText).Notify(t.Context(), waiting(tt.messages)); err != nil {
				t.Fatal(err)
			}
			sizes, seq := []int{}, int64(0)
			for _, call := range b.calls {
				sizes = append(sizes, len(call))
				for _, w := range call {
					seq++
					want := notify.Waiting{To: "bob", From: "alice", Conversation: "alice~bob", Seq: seq, At: 5}
					if withText {
						want.Text = "secret"
					}
					if w != want {
						t.Errorf("event = %+v, want %+v", w, want)
					}
				}
			}
			if fmt.Sprint(sizes) != tt.calls {
				t.Errorf("%d messages went in calls of %v, want %s", tt.messages, sizes, tt.calls)
			}
			if strings.Contains(b.raw.String(), "secret") != (withText && tt.messages > 0) {
				t.Errorf("with text %v it sent %s", withText, b.raw.String())
			}
		}
	}
}

// What a bus does not take is told, with its reason, and does not hold up the rest.
func TestNotifyTellsWhatIsNotTaken(t *testing.T) {
	b := &bus{refuses: true}
	err := b.open(false).Notify(t.Context(), waiting(12))
	if err == nil || len(b.calls) != 2 || !strings.Contains(err.Error(), "1 of 10") || !strings.Contains(err.Error(), "1 of 2") || !strings.Contains(err.Error(), "slow down") {
		t.Errorf("Notify = %v after %d calls", err, len(b.calls))
	}
}
