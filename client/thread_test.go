package client_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/duet-chat/duet/client"
)

// story is a log with everything in it, as it was pushed live.
func story() []client.Message {
	return []client.Message{
		{Seq: 1, From: "alice", Kind: client.KindText, Text: "helo"},
		{Seq: 2, From: "bob", Kind: client.KindText, Text: "what?", ReplyTo: 1},
		{Seq: 3, From: "alice", Kind: client.KindEdit, Target: 1, Text: "hallo"},
		{Seq: 4, From: "bob", Kind: client.KindReaction, Target: 1, Emoji: "👍"},
		{Seq: 5, From: "alice", Kind: client.KindEdit, Target: 1, Text: "hello"},
		{Seq: 6, From: "alice", Kind: client.KindReaction, Target: 2, Emoji: "❤"},
		{Seq: 7, From: "bob", Kind: client.KindText, Text: "secret"},
		{Seq: 8, From: "bob", Kind: client.KindReaction, Target: 1, Emoji: "🎉"},
		{Seq: 9, From: "alice", Kind: client.KindReaction, Target: 2, Emoji: ""},
		{Seq: 10, From: "alice", Kind: client.KindReaction, Target: 7, Emoji: "😮"},
		{Seq: 11, From: "bob", Kind: client.KindUnsend, Target: 7},
	}
}

// stored is the same log as history gives it afterwards: texts say what became of them, and no more
// than the newest text is kept.
func stored() []client.Message {
	log := story()
	log[0].Text, log[0].Edited = "hello", 5
	log[2].Text = ""
	log[6].Text, log[6].Unsent = "", 11
	return log
}

func shown() []client.Item {
	return []client.Item{
		{
			Message:   client.Message{Seq: 1, From: "alice", Kind: client.KindText, Text: "hello", Edited: 5},
			Reactions: []client.Reaction{{User: "bob", Emoji: "🎉"}},
		},
		{Message: client.Message{Seq: 2, From: "bob", Kind: client.KindText, Text: "what?", ReplyTo: 1}},
		{Message: client.Message{Seq: 7, From: "bob", Kind: client.KindText, Unsent: 11}},
	}
}

func TestThreadShowsTheSameInWhateverWayEntriesCome(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		entries := append(story(), stored()...) // live, and again by history
		switch seed % 3 {
		case 0:
			entries = story()
		case 1:
			entries = stored()
		}
		rng.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		var thread client.Thread
		for _, m := range entries {
			thread.Apply(m)
		}
		if got := thread.Items(); !reflect.DeepEqual(got, shown()) {
			t.Fatalf("seed %d: Items() = %+v\nwant %+v", seed, got, shown())
		}
	}
}

func TestThreadTellsWhatChanged(t *testing.T) {
	t.Parallel()
	var thread client.Thread
	for i, want := range []int64{1, 2, 1, 1, 1, 2, 7, 1, 2, 7, 7} {
		m := story()[i]
		if got := thread.Apply(m); got != want {
			t.Errorf("Apply(entry %d) = %d, want %d", m.Seq, got, want)
		}
		if got := thread.Apply(m); got != 0 {
			t.Errorf("Apply(entry %d) again = %d, want 0: it is known", m.Seq, got)
		}
	}
	if got := thread.Apply(client.Message{Seq: 12, Kind: client.KindEdit, Target: 3, Text: "x"}); got != 0 {
		t.Errorf("an edit of what is not there = %d, want 0", got)
	}
	if got := thread.Apply(client.Message{Seq: 13, Kind: "poll"}); got != 0 {
		t.Errorf("an unknown kind = %d, want 0", got)
	}
	if it, ok := thread.Latest("bob"); !ok || it.Seq != 2 {
		t.Errorf("Latest(bob) = %+v, %v, want 2: 7 was unsent", it, ok)
	}
	thread.Forget(2)
	if got := thread.Items(); len(got) != 2 || got[0].Seq != 2 {
		t.Errorf("after Forget(2): %+v, want 2 and 7", got)
	}
}

func BenchmarkThread(b *testing.B) {
	var thread client.Thread
	for i := range b.N {
		thread.Apply(client.Message{Seq: int64(i + 1), From: "bob", Kind: client.KindText, Text: fmt.Sprint(i)})
	}
}
