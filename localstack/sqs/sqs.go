// Package sqs is Amazon SQS for the standard queues of a stack: their messages are kept in the
// store, and are received, hidden, deleted and purged over SQS's JSON protocol, so that
// `aws sqs receive-message` shows what an event source mapping gave up. Queues are made by the
// template alone. FIFO queues, dead-letter queues and message attributes are not known.
// Source: Amazon SQS developer guide and API reference.
package sqs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/duet-chat/duet/localstack/meter"
	"github.com/duet-chat/duet/localstack/storage"
)

// Queue is an AWS::SQS::Queue. Times are whole seconds. New makes AWS's defaults of zero values where
// zero is not a value of its own.
type Queue struct {
	Name      string
	Retention time.Duration // 1 minute to 14 days; 0 is 4 days
	// VisibilityTimeout hides a message that was received, 0 to 12 hours; nil is 30 seconds.
	VisibilityTimeout *time.Duration
	Delay             time.Duration // until a new message can be received, 0 to 15 minutes
	Wait              time.Duration // of a receive for a first message, 0 to 20 seconds
	MaximumSize       int           // bytes of a message, 1 KiB to 1 MiB; 0 is 1 MiB
}

// Limits and defaults. Source: SQS API reference, CreateQueue; SQS developer guide, "Quotas".
const (
	defaultRetention  = 4 * 24 * time.Hour
	defaultVisibility = 30 * time.Second
	maxVisibility     = 12 * time.Hour
	maxDelay          = 15 * time.Minute
	maxWait           = 20 * time.Second
	maxSize           = 1 << 20
	maxReceived       = 10 // messages of one receive, or entries of a batch
)

// Check says what AWS would refuse: the property of an AWS::SQS::Queue and its bounds. It is nil for
// a queue that is in order.
func (q Queue) Check() error {
	within := func(property string, value, least, most time.Duration) error {
		if value < least || value > most {
			return fmt.Errorf("%s must be %d to %d, not %d", property, seconds(least), seconds(most), seconds(value))
		}
		return nil
	}
	if q.Retention != 0 {
		if err := within("MessageRetentionPeriod", q.Retention, time.Minute, 14*24*time.Hour); err != nil {
			return err
		}
	}
	if q.VisibilityTimeout != nil {
		if err := within("VisibilityTimeout", *q.VisibilityTimeout, 0, maxVisibility); err != nil {
			return err
		}
	}
	if err := within("DelaySeconds", q.Delay, 0, maxDelay); err != nil {
		return err
	}
	if err := within("ReceiveMessageWaitTimeSeconds", q.Wait, 0, maxWait); err != nil {
		return err
	}
	if q.MaximumSize != 0 && (q.MaximumSize < 1<<10 || q.MaximumSize > maxSize) {
		return fmt.Errorf("MaximumMessageSize must be %d to %d, not %d", 1<<10, maxSize, q.MaximumSize)
	}
	return nil
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// Options of a service.
type Options struct {
	Store *storage.Store
	// BaseURL is where the service answers, as in http://localhost:4566: queues' URLs begin with it.
	BaseURL         string
	Region, Account string
	Now             func() time.Time // nil is time.Now
	Meter           *meter.Meter     // may be nil; counts requests by queue
}

// Service holds the queues. It is safe for concurrent use, and needs no closing: what waits for
// messages ends with its context.
type Service struct {
	Options
	queues []*queue // in the order of the template
}

// New opens the queues, with the messages that they held when the store was last open.
func New(o Options, queues ...Queue) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{Options: o}
	for _, settings := range queues {
		q, err := s.open(settings)
		if err != nil {
			return nil, fmt.Errorf("queue %s: %w", settings.Name, err)
		}
		s.queues = append(s.queues, q)
	}
	return s, nil
}

// Send puts a message into a queue, for a service that has a right to do so, like an event source
// mapping. The message is durable when Send returns. It implements streams.FailureQueue.
func (s *Service) Send(_ context.Context, arn string, message []byte) error {
	for _, q := range s.queues {
		if q.arn == arn {
			_, err := q.send(string(message), nil)
			return err
		}
	}
	return fmt.Errorf("there is no queue %s in this stack", arn)
}

// Messages reads all queues, by ARN, oldest message first, and hides nothing: for people. A body that
// is no JSON is shown as a string.
func (s *Service) Messages() (map[string][]json.RawMessage, error) {
	all := map[string][]json.RawMessage{}
	for _, q := range s.queues {
		bodies, err := q.bodies()
		if err != nil {
			return nil, err
		}
		all[q.arn] = make([]json.RawMessage, len(bodies))
		for i, body := range bodies {
			if all[q.arn][i] = json.RawMessage(body); !json.Valid(all[q.arn][i]) {
				if all[q.arn][i], err = json.Marshal(body); err != nil {
					return nil, fmt.Errorf("queue %s: %w", q.Name, err)
				}
			}
		}
	}
	return all, nil
}
