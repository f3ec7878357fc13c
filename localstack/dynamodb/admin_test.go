package dynamodb_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/localstack/dynamodb"
)

// client is AWS's own client of the fixture, over HTTP.
func (f *fixture) client() *sdk.Client {
	f.Helper()
	server := httptest.NewServer(f.DB)
	f.Cleanup(server.Close)
	return sdk.NewFromConfig(aws.Config{
		Region: "us-east-1", Credentials: aws.AnonymousCredentials{}, BaseEndpoint: &server.URL, RetryMaxAttempts: 1,
	})
}

func hashTable(name string) *sdk.CreateTableInput {
	return &sdk.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("p"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("p"), KeyType: types.KeyTypeHash}},
	}
}

func TestTablesByTheSDK(t *testing.T) {
	f := newFixture(t, "")
	db, ctx := f.client(), t.Context()
	in := hashTable("one")
	in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage}
	created, err := db.CreateTable(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if d := created.TableDescription; *d.TableArn != "arn:aws:dynamodb:us-east-1:000000000000:table/one" || d.TableStatus != types.TableStatusActive ||
		d.BillingModeSummary.BillingMode != types.BillingModePayPerRequest || !strings.HasPrefix(*d.LatestStreamArn, *d.TableArn+"/stream/") || !d.CreationDateTime.Equal(f.time) {
		t.Errorf("CreateTable = %+v", d)
	}
	var inUse *types.ResourceInUseException
	if _, err := db.CreateTable(ctx, in); !errors.As(err, &inUse) {
		t.Errorf("CreateTable again = %v, want ResourceInUseException", err)
	}
	if _, err := db.PutItem(ctx, &sdk.PutItemInput{TableName: in.TableName, Item: map[string]types.AttributeValue{"p": &types.AttributeValueMemberS{Value: "abc"}}}); err != nil {
		t.Fatal(err)
	}
	// A table is named by its ARN too.
	described, err := db.DescribeTable(ctx, &sdk.DescribeTableInput{TableName: created.TableDescription.TableArn})
	if err != nil || *described.Table.ItemCount != 1 || *described.Table.TableSizeBytes != 4 || *described.Table.TableId != *created.TableDescription.TableId {
		t.Errorf("DescribeTable = %+v, %v", described, err)
	}

	ttl := func(attribute string, enabled bool) error {
		_, err := db.UpdateTimeToLive(ctx, &sdk.UpdateTimeToLiveInput{
			TableName: in.TableName, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &attribute, Enabled: &enabled},
		})
		return err
	}
	ttlIs := func(status types.TimeToLiveStatus, attribute string) {
		t.Helper()
		out, err := db.DescribeTimeToLive(ctx, &sdk.DescribeTimeToLiveInput{TableName: in.TableName})
		if err != nil || out.TimeToLiveDescription.TimeToLiveStatus != status || aws.ToString(out.TimeToLiveDescription.AttributeName) != attribute {
			t.Errorf("DescribeTimeToLive = %+v, %v, want %s of %q", out.TimeToLiveDescription, err, status, attribute)
		}
	}
	ttlIs(types.TimeToLiveStatusDisabled, "")
	for _, step := range []struct {
		attribute string
		enabled   bool
		ok        bool
	}{{"ttl", false, false}, {"ttl", true, true}, {"ttl", true, false}, {"other", true, false}, {"other", false, false}} {
		if err := ttl(step.attribute, step.enabled); (err == nil) != step.ok {
			t.Errorf("UpdateTimeToLive %+v = %v", step, err)
		}
	}
	ttlIs(types.TimeToLiveStatusEnabled, "ttl")
	if err := ttl("ttl", false); err != nil {
		t.Error(err)
	}
	ttlIs(types.TimeToLiveStatusDisabled, "")

	if out, err := db.DeleteTable(ctx, &sdk.DeleteTableInput{TableName: in.TableName}); err != nil || out.TableDescription.TableStatus != types.TableStatusDeleting {
		t.Errorf("DeleteTable = %+v, %v", out, err)
	}
	var missing *types.ResourceNotFoundException
	for name, err := range map[string]error{
		"DescribeTable": func() error {
			_, err := db.DescribeTable(ctx, &sdk.DescribeTableInput{TableName: in.TableName})
			return err
		}(),
		"DeleteTable": func() error {
			_, err := db.DeleteTable(ctx, &sdk.DeleteTableInput{TableName: in.TableName})
			return err
		}(),
		"Scan": func() error { _, err := db.Scan(ctx, &sdk.ScanInput{TableName: in.TableName}); return err }(),
	} {
		if !errors.As(err, &missing) {
			t.Errorf("%s of a deleted table = %v, want ResourceNotFoundException", name, err)
		}
	}
	// A table of the same name starts empty, with another stream: Duet's epoch stands on this.
	f.advance(time.Second)
	again, err := db.CreateTable(ctx, in)
	if err != nil || *again.TableDescription.ItemCount != 0 || *again.TableDescription.LatestStreamArn == *created.TableDescription.LatestStreamArn {
		t.Errorf("made again: %+v, %v", again, err)
	}
	if out, err := db.Scan(ctx, &sdk.ScanInput{TableName: in.TableName}); err != nil || out.Count != 0 {
		t.Errorf("made again it has %+v, %v", out, err)
	}
}

func TestListTablesPages(t *testing.T) {
	f := newFixture(t, "")
	db, ctx := f.client(), t.Context()
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("table-%d", i)
		if _, err := db.CreateTable(ctx, hashTable(name)); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	for _, limit := range []int32{1, 3, 7, 100} {
		var got []string
		pages := sdk.NewListTablesPaginator(db, &sdk.ListTablesInput{Limit: &limit})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil || len(page.TableNames) > int(limit) {
				t.Fatalf("page %v, %v", page, err)
			}
			got = append(got, page.TableNames...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
	}
	if _, err := db.ListTables(ctx, &sdk.ListTablesInput{Limit: aws.Int32(101)}); err == nil {
		t.Error("a limit of 101 was accepted")
	}
}

func TestCreateTableRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*sdk.CreateTableInput)
	}{
		{"short name", func(in *sdk.CreateTableInput) { in.TableName = aws.String("ab") }},
		{"key without definition", func(in *sdk.CreateTableInput) { in.AttributeDefinitions[0].AttributeName = aws.String("q") }},
		{"definition without key", func(in *sdk.CreateTableInput) {
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String("q"), AttributeType: types.ScalarAttributeTypeS})
		}},
		{"key of a type that is none", func(in *sdk.CreateTableInput) { in.AttributeDefinitions[0].AttributeType = "BOOL" }},
		{"sort key alone", func(in *sdk.CreateTableInput) { in.KeySchema[0].KeyType = types.KeyTypeRange }},
		{"view type", func(in *sdk.CreateTableInput) {
			in.StreamSpecification = &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: "EVERYTHING"}
		}},
		{"local index without sort key", func(in *sdk.CreateTableInput) {
			in.LocalSecondaryIndexes = []types.LocalSecondaryIndex{{IndexName: aws.String("by-q"), KeySchema: in.KeySchema, Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll}}}
		}},
	}
	f := newFixture(t, "")
	db := f.client()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := hashTable("one")
			tt.change(in)
			_, err := db.CreateTable(t.Context(), in)
			if err == nil || !strings.Contains(err.Error(), "ValidationException") {
				t.Errorf("CreateTable = %v, want ValidationException", err)
			}
			if out, err := db.ListTables(t.Context(), &sdk.ListTablesInput{}); err != nil || len(out.TableNames) != 0 {
				t.Errorf("tables = %+v, %v", out, err)
			}
		})
	}
}

// A plan tells what will be there, and makes it all at once.
func TestPlan(t *testing.T) {
	f := newFixture(t, "")
	other := things
	other.TableName = "others"
	other.StreamSpecification = &dynamodb.StreamSpecification{StreamEnabled: true, StreamViewType: "NEW_IMAGE"}
	p := f.NewPlan()
	planned, err := p.Table(other)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := f.Do(t.Context(), "DynamoDB_20120810.DescribeTable", []byte(`{"TableName":"others"}`)); status == 200 {
		t.Error("the table is there before the plan is applied")
	}
	bad := things
	bad.TableName, bad.KeySchema = "bad", nil
	if _, err := p.Table(bad); err == nil {
		t.Error("a table without keys is planned")
	}
	if err := p.Apply(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Stream(planned.StreamARN); err != nil || planned.StreamARN == "" {
		t.Errorf("the planned stream %q: %v", planned.StreamARN, err)
	}
	again, err := f.NewPlan().Table(other)
	if err != nil || again.StreamARN != planned.StreamARN {
		t.Errorf("planned again: %+v, %v; want the stream %s", again, err, planned.StreamARN)
	}
}

// Tables of which a plan has none are another stack's.
func TestPlanAmongStrangers(t *testing.T) {
	f := newFixture(t, "")
	if _, err := f.EnsureTable(things); err != nil {
		t.Fatal(err)
	}
	other := things
	other.TableName = "others"
	p := f.NewPlan()
	if _, err := p.Table(other); err != nil {
		t.Fatal(err)
	}
	if got := p.Strangers(); !slices.Equal(got, []string{"things"}) {
		t.Errorf("strangers = %v, want things", got)
	}
	if _, err := p.Table(things); err != nil {
		t.Fatal(err)
	}
	if got := p.Strangers(); got != nil {
		t.Errorf("strangers = %v beside a table of the plan, want none", got)
	}
}

// A data folder of another template is refused, with what differs; only TTL can change.
func TestEnsureTableChecksWhatIsThere(t *testing.T) {
	f := newFixture(t, "")
	first := f.ensure(things)
	if again := f.ensure(things); again != first {
		t.Errorf("EnsureTable again = %+v, want %+v", again, first)
	}
	reordered := things
	reordered.AttributeDefinitions = slices.Clone(things.AttributeDefinitions)
	slices.Reverse(reordered.AttributeDefinitions)
	given := slices.Clone(reordered.AttributeDefinitions)
	if again := f.ensure(reordered); again != first {
		t.Errorf("EnsureTable in another order = %+v, want %+v", again, first)
	}
	if diff := cmp.Diff(given, reordered.AttributeDefinitions); diff != "" {
		t.Errorf("the caller's template was changed (-before +after)\n%s", diff)
	}
	other := things
	other.TimeToLiveAttribute = ""
	f.ensure(other)
	if out := asJSON(t, f.do("DescribeTimeToLive", `{"TableName":"things"}`)); !strings.Contains(out, "DISABLED") {
		t.Errorf("TTL after EnsureTable without it = %s", out)
	}
	for name, change := range map[string]func(*dynamodb.TableSpec){
		"keys": func(s *dynamodb.TableSpec) { s.KeySchema = s.KeySchema[:1] },
		"types": func(s *dynamodb.TableSpec) {
			s.AttributeDefinitions = slices.Clone(s.AttributeDefinitions)
			s.AttributeDefinitions[0].AttributeType = "B"
		},
		"indexes": func(s *dynamodb.TableSpec) { s.LocalSecondaryIndexes = nil },
		"stream":  func(s *dynamodb.TableSpec) { s.StreamSpecification = nil },
	} {
		spec := things
		change(&spec)
		if _, err := f.EnsureTable(spec); err == nil || !strings.Contains(err.Error(), "things") || !strings.Contains(err.Error(), "data folder") {
			t.Errorf("EnsureTable with other %s = %v, want an error that says what to do", name, err)
		}
	}
}

// Readers see whole transactions' items and never an older state than before, whoever writes.
func TestReadersAndWritersAtOnce(t *testing.T) {
	f := newFixture(t, t.TempDir())
	f.ensure(things)
	f.put("a", 1, `,"n":{"N":"0"}`)
	f.put("b", 1, `,"n":{"N":"0"}`)
	const writes = 60
	done := make(chan struct{})
	var writers, readers sync.WaitGroup
	for range 3 {
		writers.Go(func() {
			for range writes {
				status, body := f.call("TransactWriteItems", `{"TransactItems":[
					{"Update":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}},"UpdateExpression":"ADD n :one","ExpressionAttributeValues":{":one":{"N":"1"}}}},
					{"Update":{"TableName":"things","Key":{"p":{"S":"b"},"s":{"N":"1"}},"UpdateExpression":"ADD n :one","ExpressionAttributeValues":{":one":{"N":"1"}}}}]}`)
				if status != 200 {
					t.Errorf("%s", body)
				}
			}
		})
	}
	read := func(operation, body string) string {
		status, response := f.call(operation, body)
		if status != 200 {
			t.Errorf("%s", response)
		}
		return string(response)
	}
	numberIn := func(response string) (n int) {
		_, after, ok := strings.Cut(response, `"n":{"N":"`)
		if _, err := fmt.Sscanf(after, "%d", &n); !ok || err != nil {
			t.Errorf("%s has no n", response)
		}
		return n
	}
	const getBoth = `{"TransactItems":[{"Get":{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}},{"Get":{"TableName":"things","Key":{"p":{"S":"b"},"s":{"N":"1"}}}}]}`
	for _, look := range []func() int{
		func() int {
			return numberIn(read("GetItem", `{"TableName":"things","ConsistentRead":true,"Key":{"p":{"S":"a"},"s":{"N":"1"}}}`))
		},
		func() int {
			return numberIn(read("Query", `{"TableName":"things","KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"b"}}}`))
		},
		func() int {
			both := read("TransactGetItems", getBoth)
			a, b, _ := strings.Cut(both, `"s":{"N":"1"}`)
			n := numberIn(a)
			if m := numberIn(b); m != n {
				t.Errorf("a has %d, b has %d as of one moment", n, m)
			}
			return n
		},
	} {
		readers.Go(func() {
			for last := 0; ; {
				n := look()
				if n < last {
					t.Errorf("read %d after %d", n, last)
					return
				}
				last = n
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if n := numberIn(read("GetItem", `{"TableName":"things","Key":{"p":{"S":"a"},"s":{"N":"1"}}}`)); n != 3*writes {
		t.Errorf("n = %d in the end, want %d", n, 3*writes)
	}
}
