package iam

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/duet-chat/duet/localstack/caller"
)

// Doer runs operations of DynamoDB's JSON protocol.
type Doer interface {
	Do(ctx context.Context, target string, body []byte) (status int, response []byte)
}

// DynamoDB puts the guard before whatever runs DynamoDB's operations.
func (g *Guard) DynamoDB(next Doer) Doer { return &tables{g, next} }

type tables struct {
	guard *Guard
	next  Doer
}

// Do implements Doer.
func (t *tables) Do(ctx context.Context, target string, body []byte) (int, []byte) {
	if function := caller.Function(ctx); function != "" {
		if err := t.guard.checkDynamoDB(function, target, body); err != nil {
			response, _ := json.Marshal(map[string]string{ // of strings, which cannot fail
				"__type": "com.amazon.coral.service#AccessDeniedException", "Message": err.Error(),
			})
			return http.StatusBadRequest, response
		}
	}
	return t.next.Do(ctx, target, body)
}

// checkDynamoDB checks every action and resource that an operation needs.
// Source: Service authorization reference, "Actions, resources, and condition keys for Amazon DynamoDB".
func (g *Guard) checkDynamoDB(function, target string, body []byte) error {
	service, operation, _ := strings.Cut(target, ".")
	var denied error
	check := func(action, resource string, q itemRequest) bool {
		denied = g.check(function, function, "dynamodb:"+action, resource, q)
		return denied == nil
	}
	switch {
	case strings.HasPrefix(service, "DynamoDBStreams_"):
		resource := "*"
		if s := gjson.GetBytes(body, "StreamArn"); s.Exists() {
			resource = g.Own(s.String())
		} else if operation == "GetRecords" {
			// An iterator is given only to whom GetShardIterator allows it; it names no stream here.
			return nil
		}
		check(operation, resource, itemRequest{})
	case operation == "TransactWriteItems" || operation == "TransactGetItems":
		gjson.GetBytes(body, "TransactItems").ForEach(func(_, entry gjson.Result) bool {
			ok := true
			entry.ForEach(func(kind, action gjson.Result) bool {
				table := action.Get("TableName").String()
				q := itemRequest{keys: g.rules.Load().partitionKeys, operation: actionOf(kind.String()), enclosing: operation, table: table, in: action, whole: body}
				ok = check(q.operation, g.table(table), q)
				return ok
			})
			return ok
		})
	case operation == "BatchGetItem" || operation == "BatchWriteItem":
		gjson.GetBytes(body, "RequestItems").ForEach(func(table, entries gjson.Result) bool {
			return check(operation, g.table(table.String()), itemRequest{keys: g.rules.Load().partitionKeys, operation: operation, table: table.String(), in: entries, whole: body})
		})
	default:
		named := gjson.GetManyBytes(body, "TableName", "IndexName", "ResourceArn")
		resource, table := "*", named[0].String()
		switch {
		case named[0].Exists() && named[1].Exists():
			table += "/index/" + named[1].String()
			resource = g.table(table)
		case named[0].Exists():
			resource = g.table(table)
		case named[2].Exists():
			resource = named[2].String()
		}
		check(operation, resource, itemRequest{keys: g.rules.Load().partitionKeys, operation: operation, table: table, whole: body})
	}
	return denied
}

// table is the ARN of a table, or of one of its indexes; a table may be named by its ARN.
func (g *Guard) table(name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return "arn:aws:dynamodb:" + g.Region + ":" + g.Account + ":table/" + name
}

// Own is the ARN that a table or stream would have if it were in the stack's Region and account: an
// engine elsewhere makes ARNs of its own.
func (g *Guard) Own(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && parts[2] == "dynamodb" {
		return "arn:aws:dynamodb:" + g.Region + ":" + g.Account + ":" + parts[5]
	}
	return arn
}

// actionOf is the action that an entry of a transaction needs.
func actionOf(entry string) string {
	switch entry {
	case "Put":
		return "PutItem"
	case "Update":
		return "UpdateItem"
	case "Delete":
		return "DeleteItem"
	case "ConditionCheck":
		return "ConditionCheckItem"
	}
	return "GetItem"
}
