package streams

import "sync"

// progress knows which records of a shard are done with, and saves the checkpoint: the last record
// before which none is open. Lanes finish in any order, so a record that is done with may come
// again after a restart.
type progress struct {
	save func(sequence string) error

	mu    sync.Mutex // guards what follows, and keeps saves in order
	first uint64     // position of open[0]
	open  []mark
}

type mark struct {
	sequence string
	done     bool
}

// add notes records that have been read, and returns the position of the first.
func (p *progress) add(records []Record) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	position := p.first + uint64(len(p.open))
	for _, r := range records {
		p.open = append(p.open, mark{sequence: r.SequenceNumber})
	}
	return position
}

// done notes records that have been processed, given up, or filtered.
func (p *progress) done(entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range entries {
		p.open[e.position-p.first].done = true
	}
	n := 0
	for n < len(p.open) && p.open[n].done {
		n++
	}
	if n == 0 {
		return nil
	}
	last := p.open[n-1].sequence
	p.first += uint64(n)
	p.open = append(p.open[:0], p.open[n:]...)
	return p.save(last)
}
