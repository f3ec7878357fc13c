package chat

import "context"

// MaxEmojiBytes bounds a reaction: the longest emoji sequences of Unicode 16 have 35 bytes.
const MaxEmojiBytes = 64

// amendment is what the draft does to its target, nil for a reaction, which leaves it as it is.
// A refusal says why the target cannot be amended.
func (s *Sender) amendment(ctx context.Context, d Draft) (*Amendment, error) {
	found, err := s.Log.Entries(ctx, d.Conversation, d.Target, d.Target, 1, false)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, Refuse(NotFound, "target", "there is no message %d in this conversation, or it is no longer kept", d.Target)
	}
	switch target := found[0]; {
	case target.Kind != KindText:
		return nil, Refuse(BadRequest, "target", "%d is of kind %s: give the seq of a text", d.Target, target.Kind)
	case d.Kind != KindReaction && target.From != d.From:
		return nil, Refuse(Forbidden, "target", "message %d was written by %s: only its author may change it", d.Target, target.From)
	case target.Unsent > 0:
		return nil, Refuse(NotFound, "target", "message %d was unsent", d.Target)
	case d.Kind == KindReaction:
		return nil, nil
	default:
		return &Amendment{Target: d.Target, Edited: target.Edited, Erase: d.Kind == KindUnsend, Until: target.Until}, nil
	}
}
