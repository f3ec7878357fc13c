package dynamodb_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/duet-chat/duet/localstack/dynamodb"
	"github.com/duet-chat/duet/localstack/storage"
	"github.com/duet-chat/duet/localstack/streams"
)

func (f *fixture) stream(info dynamodb.TableInfo) *dynamodb.Stream {
	f.Helper()
	st, err := f.Stream(info.StreamARN)
	if err != nil {
		f.Fatal(err)
	}
	return st
}

// there is what a shard holds after a record, without waiting.
func (f *fixture) there(st *dynamodb.Stream, shard, after string) []streams.Record {
	f.Helper()
	if latest := st.Latest(shard); latest == "" || latest == after {
		return nil
	}
	records, err := st.Read(f.Context(), shard, after, 10000)
	if err != nil {
		f.Fatal(err)
	}
	return records
}

// all are a stream's records of all shards, read as Lambda events.
func (f *fixture) all(st *dynamodb.Stream) []events.DynamoDBEventRecord {
	f.Helper()
	var found []events.DynamoDBEventRecord
	for _, shard := range st.Shards() {
		for _, r := range f.there(st, shard, "") {
			var e events.DynamoDBEvent
			if err := json.Unmarshal([]byte(`{"Records":[`+string(r.JSON)+`]}`), &e); err != nil {
				f.Fatalf("%s: %v", r.JSON, err)
			}
			if e.Records[0].Change.SequenceNumber != r.SequenceNumber {
				f.Errorf("the record says %s, the stream %s", e.Records[0].Change.SequenceNumber, r.SequenceNumber)
			}
			found = append(found, e.Records[0])
		}
	}
	return found
}

func (f *fixture) update(p string, s int, expression string) {
	f.Helper()
	f.do("UpdateItem", fmt.Sprintf(`{"TableName":"things","Key":{"p":{"S":%q},"s":{"N":"%d"}},"UpdateExpression":%q}`, p, s, expression))
}

// What each write leaves in the stream; a write that changes nothing leaves nothing.
// Source: DynamoDB developer guide, "Change data capture for DynamoDB Streams".
func TestStreamRecordsChanges(t *testing.T) {
	f := newFixture(t, "")
	info := f.ensure(things)
	st := f.stream(info)
	f.put("a", 1, `,"n":{"N":"5"}`)
	f.put("a", 1, `,"n":{"N":"5"}`)    // the same
	f.update("a", 1, "REMOVE nothing") // nothing
	f.put("a", 1, `,"n":{"N":"6"}`)    // another
	f.update("a", 1, "REMOVE n")       // less
	f.update("a", 9, "REMOVE n")       // makes no item where there is none
	f.call("PutItem", `{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"1"},"x":{"S":"no"}},"ConditionExpression":"attribute_not_exists(p)"}`)
	f.call("TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"things","Item":{"p":{"S":"b"},"s":{"N":"1"}}}},{"ConditionCheck":{"TableName":"things","Key":{"p":{"S":"z"},"s":{"N":"1"}},"ConditionExpression":"attribute_exists(p)"}}]}`)
	f.do("DeleteItem", `{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}`)
	f.do("DeleteItem", `{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}`) // again
	type change struct{ event, key, old, now string }
	var got []change
	for _, r := range f.all(st) {
		text := func(image map[string]events.DynamoDBAttributeValue) string {
			var parts []string
			for name, v := range image {
				if v.DataType() == events.DataTypeNumber {
					parts = append(parts, name+"="+v.Number())
				} else {
					parts = append(parts, name+"="+v.String())
				}
			}
			slices.Sort(parts)
			return strings.Join(parts, " ")
		}
		got = append(got, change{r.EventName, text(r.Change.Keys), text(r.Change.OldImage), text(r.Change.NewImage)})
		if r.EventSource != "aws:dynamodb" || r.AWSRegion != "us-east-1" || r.EventSourceArn != info.StreamARN || r.EventVersion != "1.1" || r.EventID == "" {
			t.Errorf("envelope = %+v", r)
		}
		if c := r.Change; c.StreamViewType != "NEW_AND_OLD_IMAGES" || c.SizeBytes <= 0 || !c.ApproximateCreationDateTime.Equal(f.time.Truncate(time.Second)) {
			t.Errorf("change = %+v", c)
		}
		if r.UserIdentity != nil {
			t.Errorf("user identity of a write by a client = %+v", r.UserIdentity)
		}
	}
	want := []change{
		{"INSERT", "p=a s=1", "", "n=5 p=a s=1"}, {"MODIFY", "p=a s=1", "n=5 p=a s=1", "n=6 p=a s=1"}, {"MODIFY", "p=a s=1", "n=6 p=a s=1", "p=a s=1"},
		{"REMOVE", "p=a s=1", "p=a s=1", ""},
	}
	if !slices.Equal(got, want) {
		t.Errorf("records:\n got %v\nwant %v", got, want)
	}
}

func TestStreamViewTypes(t *testing.T) {
	for view, want := range map[string][2]bool{"KEYS_ONLY": {false, false}, "NEW_IMAGE": {true, false}, "OLD_IMAGE": {false, true}, "NEW_AND_OLD_IMAGES": {true, true}} {
		t.Run(view, func(t *testing.T) {
			f := newFixture(t, "")
			spec := things
			spec.StreamSpecification = &dynamodb.StreamSpecification{StreamEnabled: true, StreamViewType: view}
			st := f.stream(f.ensure(spec))
			f.put("a", 1, "")
			f.put("a", 1, `,"x":{"S":"y"}`)
			records := f.all(st)
			if len(records) != 2 {
				t.Fatalf("%d records, want 2", len(records))
			}
			c := records[1].Change
			if got := [2]bool{len(c.NewImage) > 0, len(c.OldImage) > 0}; got != want || len(c.Keys) != 2 || c.StreamViewType != view {
				t.Errorf("new and old image are there: %v, want %v, in %+v", got, want, c)
			}
		})
	}
}

// TTL's removals name the service that made them, so that functions can tell them apart.
// Source: DynamoDB developer guide, "DynamoDB Streams and Time to Live".
func TestStreamTellsRemovalsByTTL(t *testing.T) {
	f := newFixture(t, "")
	st := f.stream(f.ensure(things))
	f.put("a", 1, fmt.Sprintf(`,"ttl":{"N":"%d"}`, f.now().Unix()+60))
	f.put("a", 2, fmt.Sprintf(`,"ttl":{"N":"%d"}`, f.now().Unix()+6000))
	f.put("a", 3, `,"ttl":{"S":"never"}`)
	for _, step := range []time.Duration{0, 2 * time.Minute} {
		f.advance(step)
		if err := f.Sweep(); err != nil {
			t.Fatal(err)
		}
	}
	records := f.all(st)
	if len(records) != 4 {
		t.Fatalf("%d records, want three insertions and a removal", len(records))
	}
	r := records[3]
	if r.EventName != "REMOVE" || r.Change.Keys["s"].Number() != "1" || r.UserIdentity == nil ||
		r.UserIdentity.Type != "Service" || r.UserIdentity.PrincipalID != "dynamodb.amazonaws.com" {
		t.Errorf("record = %+v, user identity %+v", r, r.UserIdentity)
	}
}

// The sweep removes every expired item once, with its index entries, at no cost, and nothing else.
func TestSweepRemovesWhatIsExpired(t *testing.T) {
	f := newFixture(t, t.TempDir())
	st := f.stream(f.ensure(things))
	for i := range 120 {
		ttl := f.now().Unix() - 1
		if i%4 == 0 {
			ttl += 1000
		}
		f.put(fmt.Sprint("p", i%7), i, fmt.Sprintf(`,"l":{"N":"%d"},"ttl":{"N":"%d"}`, i, ttl))
	}
	f.put("p0", 1000, fmt.Sprintf(`,"ttl":{"N":"%d"}`, f.now().AddDate(-6, 0, 0).Unix())) // too old for TTL to act on
	units := f.meter.Counter("dynamodb", "things", "write_units").Value()
	for range 2 {
		if err := f.Sweep(); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.meter.Counter("dynamodb", "things", "write_units").Value() - units; n != 0 {
		t.Errorf("the sweep took %v write units, want none", n)
	}
	for index, want := range map[string]float64{"": 31, `,"IndexName":"by-l"`: 30} {
		if got := f.do("Scan", `{"TableName":"things","Select":"COUNT"`+index+`}`)["Count"]; got != want {
			t.Errorf("%v items are left%s, want %v", got, index, want)
		}
	}
	removed := 0
	for _, r := range f.all(st) {
		if r.EventName == "REMOVE" {
			removed++
		}
	}
	if removed != 90 {
		t.Errorf("%d removals in the stream, want 90", removed)
	}
}

// Records of one partition stand in one shard, in the order of their writes, whoever writes at once.
func TestStreamKeepsTheOrderOfAPartition(t *testing.T) {
	f := newFixture(t, "")
	st := f.stream(f.ensure(things))
	const partitions, each = 12, 40
	var wg sync.WaitGroup
	for p := range partitions {
		wg.Go(func() {
			for s := range each {
				if status, body := f.call("PutItem", fmt.Sprintf(`{"TableName":"things","Item":{"p":{"S":"p%d"},"s":{"N":"%d"}}}`, p, s)); status != 200 {
					t.Errorf("%s", body)
				}
			}
		})
	}
	wg.Wait()
	shardOf, next := map[string]string{}, map[string]int{}
	used := map[string]bool{}
	for _, shard := range st.Shards() {
		last := ""
		for _, r := range f.there(st, shard, "") {
			if r.SequenceNumber <= last || len(r.SequenceNumber) != 21 {
				t.Fatalf("sequence number %s after %s", r.SequenceNumber, last)
			}
			last = r.SequenceNumber
			var e events.DynamoDBEventRecord
			if err := json.Unmarshal(r.JSON, &e); err != nil {
				t.Fatal(err)
			}
			p := e.Change.Keys["p"].String()
			if shardOf[p] == "" {
				shardOf[p] = shard
			}
			if got, want := e.Change.Keys["s"].Number(), fmt.Sprint(next[p]); got != want || shardOf[p] != shard {
				t.Fatalf("partition %s: item %s in %s, want %s in %s", p, got, shard, want, shardOf[p])
			}
			next[p]++
			used[shard] = true
		}
	}
	for p := range partitions {
		if got := next[fmt.Sprint("p", p)]; got != each {
			t.Errorf("partition %d has %d records, want %d", p, got, each)
		}
	}
	if len(used) < 2 {
		t.Errorf("%d partitions are all in shards %v", partitions, slices.Collect(maps.Keys(used)))
	}
}

// Read waits for a record without polling, and ends with its context or with the stream.
func TestStreamReadWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, "")
		st := f.stream(f.ensure(things))
		shards := st.Shards()
		ctx, cancel := context.WithCancel(t.Context())
		type result struct {
			records []streams.Record
			err     error
		}
		results := make(chan result, len(shards))
		for _, shard := range shards {
			go func() {
				records, err := st.Read(ctx, shard, "", 10)
				results <- result{records, err}
			}()
		}
		synctest.Wait() // all readers wait, on nothing that ticks
		f.put("a", 1, "")
		if got := <-results; got.err != nil || len(got.records) != 1 {
			t.Errorf("Read = %+v", got)
		}
		synctest.Wait()
		if n := len(results); n != 0 {
			t.Errorf("%d readers of other shards returned", n)
		}
		cancel()
		for range len(shards) - 1 {
			if got := <-results; !errors.Is(got.err, context.Canceled) {
				t.Errorf("Read = %+v, want the context's error", got)
			}
		}
		go func() {
			_, err := st.Read(context.Background(), shards[0], st.Latest(shards[0]), 10)
			results <- result{nil, err}
		}()
		synctest.Wait()
		f.do("DeleteTable", `{"TableName":"things"}`)
		if got := <-results; !errors.Is(got.err, context.Canceled) {
			t.Errorf("Read of a stream that ended = %v", got.err)
		}
	})
}

func TestStreamReadRefuses(t *testing.T) {
	f := newFixture(t, "")
	st := f.stream(f.ensure(things))
	if _, err := st.Read(t.Context(), "shardId-none", "", 1); err == nil {
		t.Error("a shard that there is not was read")
	}
	if _, err := st.Read(t.Context(), st.Shards()[0], "17", 1); err == nil {
		t.Error("a sequence number of another form was read after")
	}
	if _, err := f.Stream("arn:none"); err == nil {
		t.Error("a stream that there is not was found")
	}
}

// shardWith is the shard that holds the records of partition a.
func (f *fixture) shardWith(st *dynamodb.Stream) string {
	f.Helper()
	for _, shard := range st.Shards() {
		if st.Latest(shard) != "" {
			return shard
		}
	}
	f.Fatal("the stream is empty")
	return ""
}

func TestStreamTrimsAfterADay(t *testing.T) {
	f := newFixture(t, "")
	st := f.stream(f.ensure(things))
	sweep := func(step time.Duration) {
		t.Helper()
		f.advance(step)
		if err := f.Sweep(); err != nil {
			t.Fatal(err)
		}
	}
	f.put("a", 1, "")
	sweep(20 * time.Hour)
	f.put("a", 2, "")
	sweep(4*time.Hour - time.Second)
	shard := f.shardWith(st)
	if n := len(f.there(st, shard, "")); n != 2 {
		t.Errorf("%d records before a day is over, want 2", n)
	}
	first := f.there(st, shard, "")[0].SequenceNumber
	sweep(time.Second)
	for _, after := range []string{"", first} {
		if n := len(f.there(st, shard, after)); n != 1 {
			t.Errorf("%d records after a day, from %q, want the younger one", n, after)
		}
	}
}

// A reader whose records were all trimmed waits for the next one.
func TestStreamReadWaitsBehindWhatWasTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, "")
		st := f.stream(f.ensure(things))
		f.put("a", 1, "")
		shard := f.shardWith(st)
		f.advance(25 * time.Hour)
		if err := f.Sweep(); err != nil {
			t.Fatal(err)
		}
		found := make(chan []streams.Record, 1)
		go func() {
			records, err := st.Read(t.Context(), shard, "", 10)
			if err != nil {
				t.Error(err)
			}
			found <- records
		}()
		synctest.Wait()
		if len(found) != 0 {
			t.Error("a trimmed record was read")
		}
		f.put("a", 2, "")
		if records := <-found; len(records) != 1 {
			t.Errorf("%d records, want 1", len(records))
		}
	})
}

// Numbers go on after a restart, also when everything was trimmed meanwhile: a mapping's checkpoint
// would otherwise lie ahead of all records to come, which would never be delivered.
func TestStreamNumbersGoOnAfterARestart(t *testing.T) {
	for _, trimmed := range []bool{false, true} {
		t.Run(fmt.Sprint("everything trimmed: ", trimmed), func(t *testing.T) {
			dir := t.TempDir()
			store, err := storage.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			f := newFixtureOn(t, store)
			before := f.ensure(things)
			for s := range 5 {
				f.put("a", s, "")
			}
			st := f.stream(before)
			shard := f.shardWith(st)
			last := st.Latest(shard)
			if trimmed {
				f.advance(25 * time.Hour)
				if err := f.Sweep(); err != nil {
					t.Fatal(err)
				}
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			f = newFixture(t, dir)
			after := f.ensure(things)
			if after.StreamARN != before.StreamARN || after.ID != before.ID {
				t.Errorf("table %+v after the restart, %+v before", after, before)
			}
			f.put("a", 9, "")
			st = f.stream(after)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			records, err := st.Read(ctx, shard, last, 10)
			if err != nil || len(records) != 1 || records[0].SequenceNumber <= last {
				t.Fatalf("after %s: %v, %v, want the new record", last, records, err)
			}
			if n, want := len(f.all(st)), 6; !trimmed && n != want {
				t.Errorf("%d records, want %d", n, want)
			}
		})
	}
}

// What the stream shows is what a reader of the table finds, and the other way round, at any moment.
func TestStreamShowsOnlyWhatIsWritten(t *testing.T) {
	f := newFixture(t, t.TempDir())
	st := f.stream(f.ensure(things))
	f.put("a", 0, "")
	shard := f.shardWith(st)
	const writes = 30
	var wg sync.WaitGroup
	wg.Go(func() {
		for s := 1; s < writes; s++ {
			if status, body := f.call("PutItem", fmt.Sprintf(`{"TableName":"things","Item":{"p":{"S":"a"},"s":{"N":"%d"}}}`, s)); status != 200 {
				t.Errorf("%s", body)
			}
		}
	})
	for after, n := "", 0; n < writes; {
		records, err := st.Read(t.Context(), shard, after, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			_, body := f.call("GetItem", fmt.Sprintf(`{"TableName":"things","ConsistentRead":true,"Key":{"p":{"S":"a"},"s":{"N":"%d"}}}`, n))
			if !strings.Contains(string(body), `"Item"`) {
				t.Fatalf("record %s shows item %d, which is not there", r.SequenceNumber, n)
			}
			after = r.SequenceNumber
			n++
		}
	}
	wg.Wait()
}

// AWS's own client reads the stream over its API.

// One read returns a megabyte at most, and the next one goes on behind it.
// Source: DynamoDB Streams API reference, GetRecords.
func TestStreamReadsAMegabyteAtMost(t *testing.T) {
	f := newFixture(t, "")
	st := f.stream(f.ensure(things))
	for s := range 10 {
		f.put("a", s, fmt.Sprintf(`,"x":{"S":%q}`, strings.Repeat("x", 300<<10)))
	}
	shard, after, read := f.shardWith(st), "", 0
	for {
		records := f.there(st, shard, after)
		if len(records) == 0 {
			break
		}
		if len(records) > 3 {
			t.Errorf("%d records of 300 KB in one read", len(records))
		}
		read += len(records)
		after = records[len(records)-1].SequenceNumber
	}
	if read != 10 {
		t.Errorf("%d records in all, want 10", read)
	}
}
