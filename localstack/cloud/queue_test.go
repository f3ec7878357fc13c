package cloud

import (
	"context"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/storage"
)

// What mappings give up is kept, in order, over restarts.
func TestQueues(t *testing.T) {
	const arn, other = "arn:aws:sqs:us-east-1:000000000000:failures", "arn:aws:sqs:us-east-1:000000000000:failures-of-others"
	dir := t.TempDir()
	open := func(t *testing.T) *queues {
		t.Helper()
		store, err := storage.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		return &queues{store: store, arns: []string{arn, other}}
	}
	send := func(t *testing.T, q *queues, arn string, messages ...string) {
		t.Helper()
		for _, m := range messages {
			if err := q.Send(context.Background(), arn, []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := func(t *testing.T, q *queues, arn, want string) {
		t.Helper()
		all, err := q.list()
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, m := range all[arn] {
			texts = append(texts, string(m))
		}
		if got := strings.Join(texts, " "); got != want {
			t.Errorf("%s holds %q, want %q", arn, got, want)
		}
	}
	t.Run("first", func(t *testing.T) {
		q := open(t)
		send(t, q, arn, "1", "2")
		send(t, q, other, "3")
		want(t, q, arn, "1 2")
	})
	t.Run("after a restart", func(t *testing.T) {
		q := open(t)
		send(t, q, arn, "4")
		want(t, q, arn, "1 2 4")
		want(t, q, other, "3")
		if err := q.Send(context.Background(), "arn:aws:sqs:us-east-1:000000000000:nowhere", nil); err == nil || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("error = %v, want one that names the queue", err)
		}
	})
}
