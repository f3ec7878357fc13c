package remote

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/duet-chat/duet/localstack/streams"
)

// change is a record as GetRecords returns it.
type change struct {
	EventID      string          `json:"eventID"`
	EventName    string          `json:"eventName"`
	EventVersion string          `json:"eventVersion"`
	EventSource  string          `json:"eventSource"`
	AWSRegion    string          `json:"awsRegion"`
	Dynamodb     json.RawMessage `json:"dynamodb"`
	UserIdentity *struct {
		Type        string `json:"Type"`
		PrincipalID string `json:"PrincipalId"`
	} `json:"userIdentity"`
}

// eventRecord is a record as it stands in a Lambda event: it names its stream, and spells who made the
// change in small letters.
// Source: Lambda developer guide, "Process DynamoDB records with Lambda", example event; DynamoDB developer
// guide, "DynamoDB Streams and Time to Live".
type eventRecord struct {
	EventID        string          `json:"eventID"`
	EventName      string          `json:"eventName"`
	EventVersion   string          `json:"eventVersion"`
	EventSource    string          `json:"eventSource"`
	AWSRegion      string          `json:"awsRegion"`
	Dynamodb       json.RawMessage `json:"dynamodb"`
	UserIdentity   *identity       `json:"userIdentity,omitempty"`
	EventSourceARN string          `json:"eventSourceARN"`
}

type identity struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId"`
}

// toRecord makes a record of one that GetRecords returned.
func toRecord(raw json.RawMessage, arn string) (streams.Record, error) {
	var c change
	if err := json.Unmarshal(raw, &c); err != nil {
		return streams.Record{}, err
	}
	var about struct {
		ApproximateCreationDateTime float64 // seconds
		SequenceNumber              string
		Keys                        map[string]json.RawMessage
	}
	if err := json.Unmarshal(c.Dynamodb, &about); err != nil {
		return streams.Record{}, err
	}
	if about.SequenceNumber == "" {
		return streams.Record{}, fmt.Errorf("record %s has no SequenceNumber", c.EventID)
	}
	e := eventRecord{
		EventID: c.EventID, EventName: c.EventName, EventVersion: c.EventVersion, EventSource: c.EventSource, AWSRegion: c.AWSRegion,
		Dynamodb: c.Dynamodb, EventSourceARN: arn,
	}
	if c.UserIdentity != nil {
		e.UserIdentity = &identity{c.UserIdentity.Type, c.UserIdentity.PrincipalID}
	}
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	if err := w.Encode(e); err != nil {
		return streams.Record{}, err
	}
	return streams.Record{
		SequenceNumber: about.SequenceNumber,
		ItemKey:        hashKeys(about.Keys),
		At:             time.UnixMilli(int64(about.ApproximateCreationDateTime * 1000)),
		JSON:           bytes.TrimSuffix(b.Bytes(), []byte("\n")),
	}, nil
}

// hashKeys is the same for the same item, in whatever order its keys stand.
func hashKeys(keys map[string]json.RawMessage) uint64 {
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintf(h, "%q:%s,", name, keys[name])
	}
	return h.Sum64()
}
