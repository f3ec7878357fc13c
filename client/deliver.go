package client

import "time"

// event is one call of a function of Config, to be made.
type event struct {
	kind         eventKind
	conv         *conversation
	message      Message
	conversation *Conversation
	status       Status
	call         func() // of eventReceipt and eventState
}

type eventKind int

const (
	eventMessage      eventKind = iota + 1
	eventSkipped                // messages up to message.Seq are gone
	eventConversation           // conversation
	eventStatus                 // status
	eventReceipt                // call; about the log, as messages are
	eventState                  // call
)

// emit queues a call. A goroutine makes them in order; it lives while there are some, so that an
// idle client has none.
func (c *Client) emit(e event) {
	switch e.kind {
	case eventMessage:
		if c.cfg.OnMessage == nil {
			c.didShow(e)
			return
		}
		c.queued++
	case eventConversation:
		if c.cfg.OnConversation == nil {
			return
		}
	case eventStatus:
		if c.cfg.OnStatus == nil {
			return
		}
	}
	c.events = append(c.events, e)
	if !c.delivering {
		c.delivering = true
		c.goroutines.Go(c.deliver)
	}
}

// deliver makes the queued calls.
func (c *Client) deliver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.events) > 0 {
		e := c.events[0]
		c.events[0] = event{}
		if c.events = c.events[1:]; len(c.events) == 0 {
			c.events = nil
		}
		c.mu.Unlock()
		c.call(e)
		c.mu.Lock()
		if e.kind == eventMessage {
			c.queued--
			if c.room != nil && c.queued <= maxQueued/2 {
				close(c.room)
				c.room = nil
			}
			if c.queued <= maxQueued/2 && (len(c.starved) > 0 || len(c.fetchQueue) > 0) {
				c.feedStarved()
				c.poke()
			}
		}
		c.didShow(e)
	}
	c.delivering = false
}

// roomPause is how long a reader waits for a program that cannot keep up.
const roomPause = 100 * time.Millisecond

// waitForRoom returns what a reader is to wait for, if the queue has just become full. A burst is
// over when there is room again. For a program that is slow, the reader does not wait a second
// time: answers are to come through. What it leaves out is fetched.
func (c *Client) waitForRoom() <-chan struct{} {
	if c.queued < maxQueued || len(c.starved) > 0 || c.ended {
		return nil
	}
	if c.room == nil {
		c.room = make(chan struct{})
	}
	return c.room
}

func (c *Client) call(e event) {
	switch e.kind {
	case eventMessage:
		c.cfg.OnMessage(e.message)
	case eventConversation:
		c.cfg.OnConversation(*e.conversation)
	case eventStatus:
		c.cfg.OnStatus(e.status)
	case eventReceipt, eventState:
		e.call()
	}
}

// didShow moves the cursor that is saved.
func (c *Client) didShow(e event) {
	if e.kind != eventMessage && e.kind != eventSkipped {
		return
	}
	v := e.conv
	v.shown = e.message.Seq
	if e.kind == eventMessage {
		c.delivered(v, &e.message)
	}
	c.change(v, false)
}

// dropMessages takes the messages and receipts that were not told yet out of the queue.
func (c *Client) dropMessages() {
	kept := c.events[:0:0]
	for _, e := range c.events {
		switch e.kind {
		case eventMessage:
			c.queued--
		case eventConversation, eventStatus, eventState:
			kept = append(kept, e)
		}
	}
	c.events = kept
}
