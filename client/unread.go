package client

import "slices"

// unread counts the peer's texts that the user has neither read nor written after. The server counted
// them at the last sync; from there on they are counted here. Client.mu guards it.
type unread struct {
	counted int64 // by the server, when the log had entries up to upTo
	upTo    int64
	read    int64   // everything up to here is not unread
	texts   []int64 // seqs of the peer's texts after read that this client has seen, ascending
}

// maxTexts bounds unread.texts: the older half is counted as the server counts.
const maxTexts = 256

// count is how many are unread.
func (u *unread) count() int64 { return u.counted + int64(len(u.texts)-u.known()) }

// known is how many of the texts are among those counted.
func (u *unread) known() int {
	i, _ := slices.BinarySearch(u.texts, u.upTo+1)
	return i
}

// summed takes the server's count.
func (u *unread) summed(count, last, read int64) {
	if last < u.upTo {
		return // an older answer
	}
	u.counted, u.upTo = count, last
	if before := u.read; before > read {
		// The server does not know yet what was read here.
		u.read = read
		u.readTo(before)
		return
	}
	u.readTo(read)
}

// text takes a text of the peer's.
func (u *unread) text(seq int64) {
	if seq <= u.read || len(u.texts) > 0 && seq <= u.texts[len(u.texts)-1] {
		return
	}
	u.texts = append(u.texts, seq)
	if len(u.texts) > maxTexts {
		older := maxTexts / 2
		if last := u.texts[older-1]; last > u.upTo {
			u.counted += int64(older - u.known())
			u.upTo = last
		}
		u.texts = slices.Delete(u.texts, 0, older)
	}
}

// readTo takes that everything up to seq was read, or written after.
func (u *unread) readTo(seq int64) {
	if seq <= u.read {
		return
	}
	u.read = seq
	known := u.known()
	after, _ := slices.BinarySearch(u.texts, seq+1)
	switch {
	case seq >= u.upTo:
		u.counted = 0
		u.upTo = seq
	case int64(known) == u.counted:
		u.counted = int64(known - min(known, after))
	default:
		// Not all of them are known here: there cannot be more than there are entries.
		u.counted = min(u.counted, u.upTo-seq)
	}
	u.texts = slices.Delete(u.texts, 0, after)
}
