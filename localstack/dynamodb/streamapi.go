package dynamodb

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// streamOperations are the operations of DynamoDB Streams.
var streamOperations = map[string]func(db *DB, body []byte) ([]byte, error){
	"ListStreams":      (*DB).listStreams,
	"DescribeStream":   (*DB).describeStream,
	"GetShardIterator": (*DB).getShardIterator,
	"GetRecords":       (*DB).getRecords,
}

// maxListed bounds the streams and shards of one answer. Source: DynamoDB Streams API reference,
// ListStreams and DescribeStream.
const maxListed = 100

// listLimit checks the Limit of a list.
func listLimit(limit *int) (int, error) {
	switch {
	case limit == nil:
		return maxListed, nil
	case *limit < 1:
		return 0, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *limit)
	case *limit > maxListed:
		return 0, invalid("One or more parameter values were invalid: Limit cannot be greater than the maximum: %d", maxListed)
	}
	return *limit, nil
}

func (db *DB) listStreams(body []byte) ([]byte, error) {
	var in struct {
		TableName, ExclusiveStartStreamArn string
		Limit                              *int
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	limit, err := listLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	db.tablesMu.RLock()
	defer db.tablesMu.RUnlock()
	all := []map[string]any{}
	out := map[string]any{}
	for _, name := range sortedKeys(db.tables) {
		t := db.tables[name]
		if t.stream == nil || in.TableName != "" && in.TableName != name || t.stream.arn <= in.ExclusiveStartStreamArn {
			continue
		}
		if len(all) == limit {
			out["LastEvaluatedStreamArn"] = all[limit-1]["StreamArn"]
			break
		}
		all = append(all, map[string]any{"StreamArn": t.stream.arn, "StreamLabel": t.stream.label, "TableName": name})
	}
	out["Streams"] = all
	return json.Marshal(out)
}

func (db *DB) describeStream(body []byte) ([]byte, error) {
	var in struct {
		StreamArn, ExclusiveStartShardId *string
		Limit                            *int
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	var v violations
	if in.StreamArn == nil {
		v.missing("streamArn")
	}
	start := ""
	if in.ExclusiveStartShardId != nil {
		start = *in.ExclusiveStartShardId
		v.shard(start, "exclusiveStartShardId")
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	limit, err := listLimit(in.Limit)
	if err != nil {
		return nil, err
	}
	st, err := db.Stream(*in.StreamArn)
	if err != nil {
		return nil, err
	}
	d := map[string]any{
		"StreamArn": st.arn, "StreamLabel": st.label, "StreamStatus": "ENABLED",
		"StreamViewType": st.table.Spec.StreamSpecification.StreamViewType, "TableName": st.table.Spec.TableName,
		"KeySchema": st.table.Spec.KeySchema, "CreationRequestDateTime": float64(st.table.CreatedAt.UnixMilli()) / 1000,
	}
	list := []map[string]any{}
	for shard := range shards {
		if shardID(shard) <= start {
			continue
		}
		if len(list) == limit {
			d["LastEvaluatedShardId"] = list[limit-1]["ShardId"]
			break
		}
		oldest, err := st.oldest(shard)
		if err != nil {
			return nil, err
		}
		list = append(list, map[string]any{
			"ShardId": shardID(shard), "SequenceNumberRange": map[string]any{"StartingSequenceNumber": sequence(oldest)},
		})
	}
	d["Shards"] = list
	return json.Marshal(map[string]any{"StreamDescription": d})
}

// oldest is the number of a shard's oldest record, or of the first one to come.
func (st *Stream) oldest(shard int) (uint64, error) {
	records, err := st.records(shard, 0, 1<<63, 1)
	if err != nil || len(records) == 0 {
		return 1, err
	}
	return parseSequence(records[0].SequenceNumber)
}

// iterator is what a shard iterator says: read on after a sequence number.
type iterator struct {
	Stream, Shard, After string
	Made                 int64 // Unix seconds
}

// iteratorLife is how long a shard iterator is valid. Source: DynamoDB Streams API reference,
// GetShardIterator.
const iteratorLife = 15 * time.Minute

// iteratorTypes stand in the order of AWS's text.
var iteratorTypes = []string{"AFTER_SEQUENCE_NUMBER", "LATEST", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"}

// shard checks the length of a shard's id. Source: DynamoDB Streams API reference, ShardId.
func (v *violations) shard(id, member string) {
	const least, most = 28, 65
	if len(id) < least {
		v.add("'"+id+"'", member, fmt.Sprintf("Member must have length greater than or equal to %d", least))
	}
	if len(id) > most {
		v.add("'"+id+"'", member, fmt.Sprintf("Member must have length less than or equal to %d", most))
	}
}

func (it iterator) token() string {
	j, _ := json.Marshal(it) // strings and a number: cannot fail
	return base64.StdEncoding.EncodeToString(j)
}

func (db *DB) getShardIterator(body []byte) ([]byte, error) {
	var in struct{ StreamArn, ShardId, ShardIteratorType, SequenceNumber *string }
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	var v violations
	if in.StreamArn == nil {
		v.missing("streamArn")
	}
	if in.ShardId == nil {
		v.missing("shardId")
	} else {
		v.shard(*in.ShardId, "shardId")
	}
	switch {
	case in.ShardIteratorType == nil:
		v.missing("shardIteratorType")
	case *in.ShardIteratorType == "":
		v.enum(emptyChoice, "shardIteratorType", iteratorTypes...)
	default:
		v.enum(*in.ShardIteratorType, "shardIteratorType", iteratorTypes...)
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	it := iterator{Stream: *in.StreamArn, Shard: *in.ShardId, Made: db.now().Unix()}
	var number uint64
	if kind := *in.ShardIteratorType; kind == "AT_SEQUENCE_NUMBER" || kind == "AFTER_SEQUENCE_NUMBER" {
		if in.SequenceNumber == nil {
			return nil, invalid("One or more parameter values were invalid: Invalid SequenceNumber")
		}
		var err error
		if number, err = parseSequence(*in.SequenceNumber); err != nil {
			return nil, err
		}
		if kind == "AT_SEQUENCE_NUMBER" {
			number--
		}
	} else if in.SequenceNumber != nil {
		return nil, invalid("One or more parameter values were invalid: SequenceNumber should not be passed for this iterator type")
	}
	st, err := db.Stream(it.Stream)
	if err != nil {
		return nil, err
	}
	if _, err := parseShard(it.Shard); err != nil {
		return nil, err
	}
	if *in.ShardIteratorType == "LATEST" {
		it.After = st.Latest(it.Shard)
	} else if number > 0 { // else it is the first one of all
		it.After = sequence(number)
	}
	return json.Marshal(map[string]any{"ShardIterator": it.token()})
}

// expiredByAPI is expiredBy as the API spells it: with capitals. Source: the model of DynamoDB Streams in
// AWS's SDKs, Identity.
const expiredByAPI = `,"userIdentity":{"Type":"Service","PrincipalId":"dynamodb.amazonaws.com"}`

// maxRecords bounds GetRecords. Source: DynamoDB Streams API reference, GetRecords.
const maxRecords = 1000

func (db *DB) getRecords(body []byte) ([]byte, error) {
	var in struct {
		ShardIterator string
		Limit         *int
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	limit := maxRecords
	if in.Limit != nil {
		if limit = *in.Limit; limit < 1 || limit > maxRecords {
			return nil, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value between 1 and %d", limit, maxRecords)
		}
	}
	var it iterator
	raw, err := base64.StdEncoding.DecodeString(in.ShardIterator)
	if err != nil || json.Unmarshal(raw, &it) != nil {
		return nil, invalid("Invalid ShardIterator")
	}
	if db.now().Sub(time.Unix(it.Made, 0)) > iteratorLife {
		return nil, refuse("ExpiredIteratorException", "The iterator provided is expired: get a new one")
	}
	st, err := db.Stream(it.Stream)
	if err != nil {
		return nil, err
	}
	shard, err := parseShard(it.Shard)
	if err != nil {
		return nil, err
	}
	var from uint64
	if it.After != "" {
		if from, err = parseSequence(it.After); err != nil {
			return nil, err
		}
		trimmed, err := st.trimmed(shard)
		if err != nil {
			return nil, err
		}
		if from < trimmed {
			return nil, refuse("TrimmedDataAccessException", "The operation attempted to read past the oldest stream record in a shard")
		}
	}
	st.mu.Lock()
	until := st.until[shard]
	st.mu.Unlock()
	out := []json.RawMessage{}
	if until > from {
		records, err := st.records(shard, from, until, limit)
		if err != nil {
			return nil, err
		}
		suffix := len(`,"eventSourceARN":"`) + len(st.arn) + len(`"}`)
		for _, r := range records {
			// The API's records are a Lambda event's without the stream's ARN at their end.
			j := r.JSON[:len(r.JSON)-suffix]
			if rest, ok := bytes.CutSuffix(j, []byte(expiredBy)); ok {
				j = append(rest, expiredByAPI...)
			}
			out = append(out, append(j[:len(j):len(j)], '}'))
			it.After = r.SequenceNumber
		}
	}
	it.Made = db.now().Unix()
	return json.Marshal(map[string]any{"Records": out, "NextShardIterator": it.token()})
}
