package sync

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/duet-chat/duet/internal/chat"
)

// since is what the opaque token of the same name says. Between the pages of one sync it also
// holds the place where the last page ended.
type since struct {
	since int64 // what changed from here on is asked for; Unix milliseconds, 0 for everything
	start int64 // when this sync's first page was asked for: the next sync's since
	after chat.Place
}

// version of the token's form.
const version = "1"

// next is the token: version, epoch, since, and within a sync start, bucket, at and conversation
// of the place, joined by spaces.
func (s since) next(epoch string) string {
	if s.start == 0 {
		return fmt.Sprintf("%s %s %d", version, epoch, s.since)
	}
	return fmt.Sprintf("%s %s %d %d %d %d %s", version, epoch, s.since, s.start, s.after.Bucket, s.after.At, s.after.Conversation)
}

// parseSince reads a token. One of another epoch asks for everything: the device learns of the
// new epoch from the answer, and starts over.
func parseSince(token, epoch string) (since, error) {
	if token == "" {
		return since{}, nil
	}
	parts := strings.Split(token, " ")
	if len(parts) != 3 && len(parts) != 7 || parts[0] != version {
		return since{}, malformed(token)
	}
	if parts[1] != epoch {
		return since{}, nil
	}
	var s since
	numbers := []*int64{&s.since}
	if len(parts) == 7 {
		numbers = append(numbers, &s.start, (*int64)(&s.after.Bucket), &s.after.At)
		c, err := chat.ParseConversation(parts[6])
		if err != nil {
			return since{}, malformed(token)
		}
		s.after.Conversation = c
	}
	for i, to := range numbers {
		n, err := strconv.ParseInt(parts[2+i], 10, 64)
		if err != nil || n < 0 {
			return since{}, malformed(token)
		}
		*to = n
	}
	return s, nil
}

func malformed(token string) error {
	return chat.Refuse(chat.BadRequest, "since", "since must be as it came in the last synced, not %.60q; leave it out to get everything", token)
}
