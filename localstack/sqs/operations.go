package sqs

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

type listInput struct {
	QueueNamePrefix, NextToken string
	MaxResults                 int
}

func (s *Service) listQueues(_ context.Context, in listInput) (any, error) {
	if in.MaxResults < 0 || in.MaxResults > 1000 {
		return nil, invalidParameter("Value %d for parameter MaxResults is invalid. Reason: Must be between 1 and 1000, if provided.", in.MaxResults)
	}
	var urls []string
	for _, q := range s.queues {
		if strings.HasPrefix(q.Name, in.QueueNamePrefix) {
			urls = append(urls, q.url)
		}
	}
	slices.Sort(urls)
	// A page's token is the last URL before it.
	urls = slices.DeleteFunc(urls, func(url string) bool { return url <= in.NextToken })
	var out struct {
		QueueURLs []string `json:"QueueUrls,omitempty"`
		NextToken string   `json:",omitempty"`
	}
	out.QueueURLs = urls
	if in.MaxResults > 0 && len(urls) > in.MaxResults {
		out.QueueURLs, out.NextToken = urls[:in.MaxResults], urls[in.MaxResults-1]
	}
	return out, nil
}

func (s *Service) getQueueURL(_ context.Context, in struct{ QueueName, QueueOwnerAWSAccountId string }) (any, error) {
	if in.QueueName == "" {
		return nil, missingParameter("QueueName")
	}
	q := s.named(in.QueueName)
	if q == nil || in.QueueOwnerAWSAccountId != "" && in.QueueOwnerAWSAccountId != s.Account {
		return nil, nonExistent()
	}
	return map[string]string{"QueueUrl": q.url}, nil
}

type attributesInput struct {
	QueueURL       string `json:"QueueUrl"`
	AttributeNames []string
}

func (s *Service) getQueueAttributes(_ context.Context, in attributesInput) (any, error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return nil, err
	}
	visible, inFlight, delayed, err := q.counts()
	if err != nil {
		return nil, err
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	all := map[string]string{
		"QueueArn": q.arn, "ApproximateNumberOfMessages": strconv.Itoa(visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(inFlight), "ApproximateNumberOfMessagesDelayed": strconv.Itoa(delayed),
		"CreatedTimestamp": number(q.created.Unix()), "LastModifiedTimestamp": number(q.created.Unix()),
		"VisibilityTimeout": number(seconds(q.visibility)), "MaximumMessageSize": strconv.Itoa(q.MaximumSize),
		"MessageRetentionPeriod": number(seconds(q.Retention)), "DelaySeconds": number(seconds(q.Delay)),
		"ReceiveMessageWaitTimeSeconds": number(seconds(q.Wait)), "SqsManagedSseEnabled": "true",
	}
	wanted := map[string]string{}
	for _, name := range in.AttributeNames {
		value, ok := all[name]
		switch {
		case name == "All":
			wanted = all
		case ok:
			wanted[name] = value
		case !slices.Contains(absent, name):
			return nil, modelled("InvalidAttributeName", "Unknown Attribute %s.", name)
		}
	}
	if len(wanted) == 0 {
		return struct{}{}, nil
	}
	return map[string]any{"Attributes": wanted}, nil
}

// absent are attributes of queues that none here has.
var absent = []string{
	"Policy", "RedrivePolicy", "RedriveAllowPolicy", "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit",
	"KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds",
}

// Inputs about one message of a queue, alone or as an entry of a batch.
type (
	sendInput struct {
		QueueURL                string `json:"QueueUrl"`
		MessageBody             string
		DelaySeconds            *int
		MessageAttributes       map[string]json.RawMessage
		MessageSystemAttributes map[string]json.RawMessage
		MessageDeduplicationID  string `json:"MessageDeduplicationId"`
	}
	receiptInput struct {
		QueueURL          string `json:"QueueUrl"`
		ReceiptHandle     string
		VisibilityTimeout *int
	}
)

func (in *sendInput) of(queueURL string)    { in.QueueURL = queueURL }
func (in *receiptInput) of(queueURL string) { in.QueueURL = queueURL }

type sendOutput struct {
	MessageID string `json:"MessageId"`
	MD5       string `json:"MD5OfMessageBody"`
}

func (s *Service) sendMessage(_ context.Context, in sendInput) (any, error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return nil, err
	}
	switch {
	case in.MessageBody == "":
		return nil, missingParameter("MessageBody")
	case len(in.MessageBody) > q.MaximumSize:
		return nil, invalidParameter("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", q.MaximumSize)
	case !contentsValid(in.MessageBody):
		return nil, modelled("InvalidMessageContents", "Invalid binary character was found in the message body, the set of allowed characters is #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF")
	case len(in.MessageAttributes) > 0 || len(in.MessageSystemAttributes) > 0:
		return nil, unsupportedOperation("The local SQS does not keep message attributes: put what they say into the body.")
	case in.MessageDeduplicationID != "":
		return nil, invalidParameter("Value %s for parameter MessageDeduplicationId is invalid. Reason: The request includes a parameter that is not valid for this queue type.", in.MessageDeduplicationID)
	}
	delay, err := duration("DelaySeconds", in.DelaySeconds, maxDelay)
	if err != nil {
		return nil, err
	}
	id, err := q.send(in.MessageBody, delay)
	if err != nil {
		return nil, err
	}
	return sendOutput{id, sum(in.MessageBody)}, nil
}

// sum is a body's MD5, by which SDKs notice damage on the way.
func sum(body string) string {
	digest := md5.Sum([]byte(body))
	return hex.EncodeToString(digest[:])
}

// contentsValid reports whether a body has only characters of XML.
// Source: SQS API reference, SendMessage, MessageBody.
func contentsValid(body string) bool {
	return utf8.ValidString(body) && !strings.ContainsFunc(body, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	})
}

// duration checks a number of seconds; nil stays nil.
func duration(parameter string, value *int, most time.Duration) (*time.Duration, error) {
	if value == nil {
		return nil, nil
	}
	d := time.Duration(*value) * time.Second
	if *value < 0 || d > most {
		return nil, invalidParameter("Value %d for parameter %s is invalid. Reason: Must be between 0 and %d, if provided.", *value, parameter, seconds(most))
	}
	return &d, nil
}

type receiveInput struct {
	QueueURL                    string `json:"QueueUrl"`
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
	AttributeNames              []string
	MessageSystemAttributeNames []string
}

type received struct {
	MessageID     string `json:"MessageId"`
	ReceiptHandle string
	MD5           string `json:"MD5OfBody"`
	Body          string
	Attributes    map[string]string `json:",omitempty"`
}

func (s *Service) receiveMessage(ctx context.Context, in receiveInput) (any, error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return nil, err
	}
	most := 1
	if in.MaxNumberOfMessages != nil {
		if most = *in.MaxNumberOfMessages; most < 1 || most > maxReceived {
			return nil, invalidParameter("Value %d for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and %d, if provided.", most, maxReceived)
		}
	}
	hide, wait := q.visibility, q.Wait
	for _, d := range []struct {
		parameter string
		value     *int
		most      time.Duration
		to        *time.Duration
	}{{"VisibilityTimeout", in.VisibilityTimeout, maxVisibility, &hide}, {"WaitTimeSeconds", in.WaitTimeSeconds, maxWait, &wait}} {
		given, err := duration(d.parameter, d.value, d.most)
		if err != nil {
			return nil, err
		}
		if given != nil {
			*d.to = *given
		}
	}
	deliveries, err := q.receive(ctx, most, hide, wait)
	if err != nil || len(deliveries) == 0 {
		return struct{}{}, err
	}
	names := append(in.AttributeNames, in.MessageSystemAttributeNames...)
	messages := make([]received, len(deliveries))
	for i, d := range deliveries {
		attributes := map[string]string{
			"SenderId": s.Account, "SentTimestamp": strconv.FormatInt(d.Sent, 10),
			"ApproximateReceiveCount": strconv.Itoa(d.Receives), "ApproximateFirstReceiveTimestamp": strconv.FormatInt(d.First, 10),
		}
		if !slices.Contains(names, "All") {
			for name := range attributes {
				if !slices.Contains(names, name) {
					delete(attributes, name)
				}
			}
		}
		messages[i] = received{d.ID, d.handle, sum(d.Body), d.Body, attributes}
	}
	return map[string]any{"Messages": messages}, nil
}

// receipt finds what a receipt handle stands for.
func (s *Service) receipt(in receiptInput) (*queue, receipt, error) {
	q, err := s.at(in.QueueURL)
	if err != nil {
		return nil, receipt{}, err
	}
	if in.ReceiptHandle == "" {
		return nil, receipt{}, missingParameter("ReceiptHandle")
	}
	r, ok := q.parse(in.ReceiptHandle)
	if !ok {
		return nil, receipt{}, modelled("ReceiptHandleIsInvalid", "The input receipt handle %q is not a valid receipt handle.", in.ReceiptHandle)
	}
	return q, r, nil
}

// deleteMessage succeeds for what has been deleted already, and for the handle of an earlier receive
// than the last one, which AWS says may not delete: here it does not.
func (s *Service) deleteMessage(_ context.Context, in receiptInput) (any, error) {
	q, r, err := s.receipt(in)
	if err != nil {
		return nil, err
	}
	return struct{}{}, q.remove(r)
}

func (s *Service) changeVisibility(_ context.Context, in receiptInput) (any, error) {
	q, r, err := s.receipt(in)
	if err != nil {
		return nil, err
	}
	d, err := duration("VisibilityTimeout", in.VisibilityTimeout, maxVisibility)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, missingParameter("VisibilityTimeout")
	}
	exists, inFlight, err := q.hide(r, *d)
	switch {
	case err != nil:
		return nil, err
	case !exists:
		return nil, invalidParameter("Value %s for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.", in.ReceiptHandle)
	case !inFlight:
		return nil, modelled("MessageNotInflight", "The message referred to is not in flight.")
	}
	return struct{}{}, nil
}

func (s *Service) purgeQueue(_ context.Context, in struct{ QueueUrl string }) (any, error) {
	q, err := s.at(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	done, err := q.purge()
	if err == nil && !done {
		err = modelled("PurgeQueueInProgress", "Only one PurgeQueue operation on %s is allowed every 60 seconds.", q.Name)
	}
	return struct{}{}, err
}

type batchInput struct {
	QueueURL string `json:"QueueUrl"`
	Entries  []json.RawMessage
}

type batchError struct {
	ID          string `json:"Id"`
	SenderFault bool
	Code        string
	Message     string
}

// entryID is what ids of entries are made of. Source: SQS API reference, SendMessageBatchRequestEntry.
var entryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// batch makes the batch form of an operation about one message: each entry succeeds or fails alone.
func batch[In any, P interface {
	*In
	of(queueURL string)
}](entryType string, run func(*Service, context.Context, In) (any, error)) func(*Service, context.Context, batchInput) (any, error) {
	return func(s *Service, ctx context.Context, in batchInput) (any, error) {
		q, err := s.at(in.QueueURL)
		if err != nil {
			return nil, err
		}
		if len(in.Entries) == 0 {
			return nil, modelled("EmptyBatchRequest", "There should be at least one %s in the request.", entryType)
		}
		if len(in.Entries) > maxReceived {
			return nil, modelled("TooManyEntriesInBatchRequest", "Maximum number of entries per request are %d. You have sent %d.", maxReceived, len(in.Entries))
		}
		ids, seen := make([]string, len(in.Entries)), map[string]bool{}
		entries := make([]In, len(in.Entries))
		size := 0
		for i, raw := range in.Entries {
			var e struct{ ID, MessageBody string }
			if err := errors.Join(json.Unmarshal(raw, &e), json.Unmarshal(raw, &entries[i])); err != nil {
				return nil, &apiError{coralPrefix + "SerializationException", "SerializationException", err.Error()}
			}
			switch {
			case !entryID.MatchString(e.ID):
				return nil, modelled("InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
			case seen[e.ID]:
				return nil, modelled("BatchEntryIdsNotDistinct", "Id %s repeated.", e.ID)
			}
			seen[e.ID], ids[i] = true, e.ID
			P(&entries[i]).of(in.QueueURL)
			size += len(e.MessageBody)
		}
		if size > maxSize {
			return nil, modelled("BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxSize, size)
		}
		q.requests.Add(-int64(len(entries))) // the batch is one request, and each entry counts itself
		successful, failed := []map[string]any{}, []batchError{}
		for i, entry := range entries {
			out, err := run(s, ctx, entry)
			var api *apiError
			switch {
			case errors.As(err, &api):
				failed = append(failed, batchError{ids[i], true, api.Code, api.Message})
				continue
			case err != nil:
				return nil, err
			}
			result := map[string]any{"Id": ids[i]}
			if sent, ok := out.(sendOutput); ok {
				result["MessageId"], result["MD5OfMessageBody"] = sent.MessageID, sent.MD5
			}
			successful = append(successful, result)
		}
		answer := map[string]any{"Successful": successful}
		if len(failed) > 0 {
			answer["Failed"] = failed
		}
		return answer, nil
	}
}
