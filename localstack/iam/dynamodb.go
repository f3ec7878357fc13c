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
	prefix := "arn:aws:dynamodb:" + g.Region + ":" + g.Account + ":table/"
	arn := func(name string) string {
		if strings.HasPrefix(name, "arn:") {
			return name
		}
		return prefix + name
	}
	var denied error
	check := func(action, resource string) bool {
		denied = g.Check(function, "dynamodb:"+action, resource)
		return denied == nil
	}
	switch {
	case strings.HasPrefix(service, "DynamoDBStreams_"):
		resource := "*"
		if s := gjson.GetBytes(body, "StreamArn"); s.Exists() {
			resource = s.String()
		} else if operation == "GetRecords" {
			// An iterator is given only to whom GetShardIterator allows it; it names no stream here.
			return nil
		}
		check(operation, resource)
	case operation == "TransactWriteItems" || operation == "TransactGetItems":
		gjson.GetBytes(body, "TransactItems").ForEach(func(_, entry gjson.Result) bool {
			ok := true
			entry.ForEach(func(kind, action gjson.Result) bool {
				ok = check(actionOf(kind.String()), arn(action.Get("TableName").String()))
				return ok
			})
			return ok
		})
	case operation == "BatchGetItem" || operation == "BatchWriteItem":
		gjson.GetBytes(body, "RequestItems").ForEach(func(table, _ gjson.Result) bool {
			return check(operation, arn(table.String()))
		})
	default:
		named := gjson.GetManyBytes(body, "TableName", "IndexName", "ResourceArn")
		resource := "*"
		switch {
		case named[0].Exists() && named[1].Exists():
			resource = arn(named[0].String()) + "/index/" + named[1].String()
		case named[0].Exists():
			resource = arn(named[0].String())
		case named[2].Exists():
			resource = named[2].String()
		}
		check(operation, resource)
	}
	return denied
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
