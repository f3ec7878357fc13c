package template

import "github.com/duet-chat/duet/localstack/sqs"

const queueKind = "AWS::SQS::Queue"

func (r *reader) readQueue(res *resource, p *node) error {
	q := sqs.Queue{Name: res.attributes["QueueName"]}
	for _, property := range []struct {
		name    string
		nonZero bool
		set     func(n int)
	}{
		{"MessageRetentionPeriod", true, func(n int) { q.Retention = seconds(n) }},
		{"VisibilityTimeout", false, func(n int) { d := seconds(n); q.VisibilityTimeout = &d }},
		{"DelaySeconds", false, func(n int) { q.Delay = seconds(n) }},
		{"ReceiveMessageWaitTimeSeconds", false, func(n int) { q.Wait = seconds(n) }},
		{"MaximumMessageSize", true, func(n int) { q.MaximumSize = n }},
	} {
		at := p.at(property.name)
		if at == nil {
			continue
		}
		n, err := p.integer(property.name, 0)
		if err != nil {
			return err
		}
		if n == 0 && property.nonZero { // which a Queue takes for the default
			return at.fail("%s must not be 0", property.name)
		}
		property.set(n)
		if err := q.Check(); err != nil {
			return at.fail("%v", err)
		}
	}
	r.stack.Queues = append(r.stack.Queues, q)
	return nil
}
