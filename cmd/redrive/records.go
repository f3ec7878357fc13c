package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// errGone reports that a stream does not keep a batch's records, or not all of them.
var errGone = errors.New("records are gone: a stream keeps them for 24 hours, and nothing of a stream that was disabled")

// record is a record as it stands in a Lambda event.
type record struct {
	sequence string
	json     json.RawMessage
}

// records reads a batch from the stream. With errGone it returns what is left of it.
func (r *redrive) records(ctx context.Context, g *given) ([]record, error) {
	found, err := r.read(ctx, g, types.ShardIteratorTypeAtSequenceNumber)
	var trimmed *types.TrimmedDataAccessException
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &missing):
		return nil, errGone
	case errors.As(err, &trimmed):
		found, err = r.read(ctx, g, types.ShardIteratorTypeTrimHorizon)
	}
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, errGone
	case found[0].sequence != g.Batch.Start:
		return found, fmt.Errorf("those before %s: %w", found[0].sequence, errGone)
	}
	return found, nil
}

// maxEmpty bounds how many answers without records in a row are taken for a stream that has none
// left: there may be empty ones before the end.
const maxEmpty = 100

// read reads from the batch's start, or from the oldest record there is, up to the batch's end.
func (r *redrive) read(ctx context.Context, g *given, from types.ShardIteratorType) ([]record, error) {
	in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &g.Batch.StreamARN, ShardId: &g.Batch.ShardID, ShardIteratorType: from}
	if from == types.ShardIteratorTypeAtSequenceNumber {
		in.SequenceNumber = &g.Batch.Start
	}
	start, err := r.streams.GetShardIterator(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("find the records in the stream: %w", err)
	}
	var found []record
	for iterator, empty := start.ShardIterator, 0; iterator != nil && empty < maxEmpty; {
		out, err := r.streams.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: iterator})
		if err != nil {
			return nil, fmt.Errorf("read the records: %w", err)
		}
		for _, one := range out.Records {
			sequence := aws.ToString(one.Dynamodb.SequenceNumber)
			if compare(sequence, g.Batch.End) > 0 {
				return found, nil
			}
			if compare(sequence, g.Batch.Start) >= 0 {
				j, err := json.Marshal(eventRecord(one, g.Batch.StreamARN))
				if err != nil {
					return nil, fmt.Errorf("record %s: %w", sequence, err)
				}
				found = append(found, record{sequence, j})
			}
			if sequence == g.Batch.End {
				return found, nil
			}
		}
		if iterator = out.NextShardIterator; len(out.Records) == 0 {
			empty++
		} else {
			empty = 0
		}
	}
	return found, nil
}

// eventRecord is a record of the Streams API as Lambda gives it to a function.
// Source: Lambda developer guide, "Process DynamoDB records with Lambda", example event.
func eventRecord(r types.Record, streamARN string) map[string]any {
	d := r.Dynamodb
	change := map[string]any{
		"Keys": item(d.Keys), "SequenceNumber": aws.ToString(d.SequenceNumber), "SizeBytes": aws.ToInt64(d.SizeBytes), "StreamViewType": d.StreamViewType,
	}
	if d.ApproximateCreationDateTime != nil {
		change["ApproximateCreationDateTime"] = d.ApproximateCreationDateTime.Unix()
	}
	if d.NewImage != nil {
		change["NewImage"] = item(d.NewImage)
	}
	if d.OldImage != nil {
		change["OldImage"] = item(d.OldImage)
	}
	event := map[string]any{
		"eventID": aws.ToString(r.EventID), "eventName": r.EventName, "eventVersion": aws.ToString(r.EventVersion),
		"eventSource": aws.ToString(r.EventSource), "awsRegion": aws.ToString(r.AwsRegion), "eventSourceARN": streamARN, "dynamodb": change,
	}
	if who := r.UserIdentity; who != nil {
		event["userIdentity"] = map[string]any{"type": aws.ToString(who.Type), "principalId": aws.ToString(who.PrincipalId)}
	}
	return event
}

func item(attributes map[string]types.AttributeValue) map[string]any {
	all := make(map[string]any, len(attributes))
	for name, value := range attributes {
		all[name] = typed(value)
	}
	return all
}

// typed is a value as DynamoDB's JSON has it: {"S": "text"}.
func typed(value types.AttributeValue) any {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": v.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": v.Value}
	case *types.AttributeValueMemberB:
		return map[string]any{"B": v.Value}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": v.Value}
	case *types.AttributeValueMemberNULL:
		return map[string]any{"NULL": v.Value}
	case *types.AttributeValueMemberSS:
		return map[string]any{"SS": v.Value}
	case *types.AttributeValueMemberNS:
		return map[string]any{"NS": v.Value}
	case *types.AttributeValueMemberBS:
		return map[string]any{"BS": v.Value}
	case *types.AttributeValueMemberM:
		return map[string]any{"M": item(v.Value)}
	case *types.AttributeValueMemberL:
		list := make([]any, len(v.Value))
		for i, element := range v.Value {
			list[i] = typed(element)
		}
		return map[string]any{"L": list}
	}
	return nil // a type of the future
}
