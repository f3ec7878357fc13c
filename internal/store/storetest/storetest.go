// Package storetest is the contract of Duet's stores: what the domain and the handlers rely on,
// checked against tables on any DynamoDB: the local cloud's engine, DynamoDB Local, or AWS.
package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/store"
)

// Tables are Duet's tables on some DynamoDB.
type Tables struct {
	AWS                                                            aws.Config
	Users, Connections, Watchers, Conversations, Members, Messages string
}

// Create makes empty tables whose names begin with prefix, as template.yaml has them, waits until
// they can be used, and deletes them when the test ends.
func Create(t testing.TB, cfg aws.Config, prefix string) Tables {
	t.Helper()
	tables := Tables{
		AWS: cfg, Users: prefix + "Users", Connections: prefix + "Connections", Watchers: prefix + "Watchers", Conversations: prefix + "Conversations",
		Members: prefix + "Members", Messages: prefix + "Messages",
	}
	db := dynamodb.NewFromConfig(cfg)
	create := func(in *dynamodb.CreateTableInput, keys ...string) {
		t.Helper()
		roles := []types.KeyType{types.KeyTypeHash, types.KeyTypeRange}
		for i, key := range keys {
			kind := types.ScalarAttributeTypeS
			if key == "seq" {
				kind = types.ScalarAttributeTypeN
			}
			in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: aws.String(key), AttributeType: kind})
			in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: aws.String(key), KeyType: roles[i]})
		}
		in.BillingMode = types.BillingModePayPerRequest
		ctx := context.Background()
		if _, err := db.CreateTable(ctx, in); err != nil {
			t.Fatalf("create %s: %v", *in.TableName, err)
		}
		t.Cleanup(func() {
			if _, err := db.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: in.TableName}); err != nil {
				t.Errorf("delete %s: %v", *in.TableName, err)
			}
		})
		// It looks first and waits only where the table is still being made.
		err := dynamodb.NewTableExistsWaiter(db).Wait(ctx, &dynamodb.DescribeTableInput{TableName: in.TableName}, 2*time.Minute)
		if err != nil {
			t.Fatalf("wait for %s: %v", *in.TableName, err)
		}
	}
	create(&dynamodb.CreateTableInput{TableName: &tables.Users}, "user")
	create(&dynamodb.CreateTableInput{TableName: &tables.Connections}, "user", "connection")
	create(&dynamodb.CreateTableInput{TableName: &tables.Watchers}, "user", "watcher")
	create(&dynamodb.CreateTableInput{TableName: &tables.Conversations}, "conversation")
	create(&dynamodb.CreateTableInput{
		TableName: &tables.Members,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("bucket"), AttributeType: types.ScalarAttributeTypeN},
			{AttributeName: aws.String("changed"), AttributeType: types.ScalarAttributeTypeN},
		},
		LocalSecondaryIndexes: []types.LocalSecondaryIndex{index("by-activity", "bucket"), index("by-change", "changed")},
	}, "user", "conversation")
	create(&dynamodb.CreateTableInput{
		TableName:           &tables.Messages,
		StreamSpecification: &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewImage},
	}, "conversation", "seq")
	return tables
}

// index is one over a user's rows.
func index(name, key string) types.LocalSecondaryIndex {
	return types.LocalSecondaryIndex{
		IndexName: &name,
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("user"), KeyType: types.KeyTypeHash},
			{AttributeName: &key, KeyType: types.KeyTypeRange},
		},
		Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
	}
}

// suite is the stores over fresh tables, and a client to look behind them.
type suite struct {
	Tables
	db            *dynamodb.Client
	users         *store.Users
	connections   *store.Connections
	conversations *store.Conversations
	inbox         *store.Inbox
	members       *store.Members
	watchers      *store.Watchers
}

// Run checks the stores. Each test asks open for empty tables.
func Run(t *testing.T, open func(testing.TB) Tables) {
	tests := []struct {
		name string
		run  func(*testing.T, *suite)
	}{
		{"append succeeds", appendSucceeds},
		{"append refused", appendRefused},
		{"append at once", appendAtOnce},
		{"entries", entries},
		{"entries over one megabyte", entriesOverOneMegabyte},
		{"connections", connections},
		{"users", users},
		{"active", active},
		{"states", states},
		{"receipts", receipts},
		{"changed", changed},
		{"amend", amend},
		{"quota", quota},
		{"blocks", blocks},
		{"blocks before the first message", blocksBeforeTheFirstMessage},
		{"may", may},
		{"erased users", erasedUsers},
		{"profiles", profiles},
		{"sign-outs", signOuts},
		{"leaving", leaving},
		{"retention", retention},
		{"watchers", watchers},
		{"last messages", lastMessages},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tables := open(t)
			tt.run(t, &suite{
				Tables:      tables,
				db:          dynamodb.NewFromConfig(tables.AWS),
				users:       store.NewUsers(tables.AWS, tables.Users),
				connections: store.NewConnections(tables.AWS, tables.Connections),
				conversations: store.NewConversations(tables.AWS, store.ConversationTables{
					Conversations: tables.Conversations, Members: tables.Members, Messages: tables.Messages, Users: tables.Users,
				}, clock),
				inbox: store.NewInbox(tables.AWS, store.InboxTables{
					Conversations: tables.Conversations, Members: tables.Members, Messages: tables.Messages,
				}, clock),
				watchers: store.NewWatchers(tables.AWS, tables.Watchers),
				members: store.NewMembers(tables.AWS, store.MemberTables{
					Conversations: tables.Conversations, Members: tables.Members, Messages: tables.Messages,
				}),
			})
		})
	}
}

type item = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num[T ~int | ~int64](n T) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

// putAll writes items past the stores.
func (s *suite) putAll(t testing.TB, table string, items []item) {
	t.Helper()
	const perCall = 25
	for len(items) > 0 {
		var writes []types.WriteRequest
		for _, it := range items[:min(perCall, len(items))] {
			writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: it}})
		}
		items = items[len(writes):]
		for pending := map[string][]types.WriteRequest{table: writes}; len(pending) > 0; {
			out, err := s.db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: pending})
			if err != nil {
				t.Fatal(err)
			}
			pending = out.UnprocessedItems
		}
	}
}

// everything is the content of all tables, by table and key.
func (s *suite) everything(t testing.TB) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, table := range []string{s.Users, s.Connections, s.Watchers, s.Conversations, s.Members, s.Messages} {
		pages := dynamodb.NewScanPaginator(s.db, &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, it := range page.Items {
				key := table
				for _, name := range []string{"user", "connection", "watcher", "conversation", "seq"} {
					if v, ok := it[name]; ok {
						key += fmt.Sprint(" ", plain(v))
					}
				}
				all[key] = plain(&types.AttributeValueMemberM{Value: it})
			}
		}
	}
	return all
}

// plain is an attribute value without the SDK's types.
func plain(v types.AttributeValue) any {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return "number " + v.Value
	case *types.AttributeValueMemberBOOL:
		return v.Value
	case *types.AttributeValueMemberM:
		m := map[string]any{}
		for name, value := range v.Value {
			m[name] = plain(value)
		}
		return m
	}
	return fmt.Sprintf("%T", v)
}

const ab = chat.ConversationID("alice~bob")

// clock stands at the time when messages are written.
func clock() time.Time { return time.UnixMilli(at) }

// at is when messages are written, in Unix milliseconds.
const at = 1790000000000
