package dynamodb

import (
	"strings"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// request is the body of any operation on items; each operation reads the members that are its own.
type request struct {
	caller string // the function that makes it, "" for the owner

	TableName, IndexName         string
	hasTable, hasIndex           bool // not null, but perhaps empty
	Item, Key, ExclusiveStartKey attr.Item

	Condition, Update, Projection, KeyCondition, Filter *string

	Names  map[string]string
	Values attr.Item

	ReturnValues, ReturnOnFailure, ReturnCapacity, ReturnMetrics, Select string

	Consistent, Backward   bool
	Limit                  *int64
	Segment, TotalSegments *int64

	Token    string
	hasToken bool
	// Actions of a transaction, in order.
	Actions    []action
	hasActions bool
	// Tables of a batch, in the order of the request.
	Tables   []tableBatch
	hasItems bool
}

// action is one of a transaction's actions or of a batch's writes.
type action struct {
	kind  string // Put, Update, Delete, ConditionCheck, Get, PutRequest, DeleteRequest
	kinds int    // how many it names; one is right
	request
}

// tableBatch is what a batch operation asks of one table.
type tableBatch struct {
	table   string
	keys    []attr.Item // BatchGetItem
	hasKeys bool
	writes  []action // BatchWriteItem
	request
}

// legacy names the parameters that expressions have replaced.
var legacy = map[string]bool{
	"AttributesToGet": true, "AttributeUpdates": true, "ConditionalOperator": true, "Expected": true,
	"KeyConditions": true, "QueryFilter": true, "ScanFilter": true,
}

// parse reads a request. The second error is of an attribute value: AWS reports it after what is
// wrong with the request itself.
func parse(body []byte) (*request, error, error) {
	r := attr.NewReader(body)
	q := &request{}
	p := parser{r: r}
	r.Object(func(key string) { p.member(q, key) })
	r.End()
	if err := r.Err(); err != nil {
		return nil, err, nil
	}
	if p.unsupported != "" {
		return nil, invalid("The local DynamoDB does not support the legacy parameter %s: use expressions", p.unsupported), nil
	}
	return q, nil, r.Invalid()
}

type parser struct {
	r           *attr.Reader
	unsupported string
}

func (p *parser) text() *string {
	if p.r.Null() {
		return nil
	}
	s := p.r.String()
	return &s
}

// emptyChoice stands for an empty string where one of some values has to be: it is not the same as none.
const emptyChoice = "\x00"

func (p *parser) choice() string {
	switch s := p.text(); {
	case s == nil:
		return ""
	case *s == "":
		return emptyChoice
	default:
		return *s
	}
}

func (p *parser) integer() *int64 {
	if p.r.Null() {
		return nil
	}
	n := p.r.Int()
	return &n
}

// member reads one member of a request.
func (p *parser) member(q *request, key string) {
	r := p.r
	switch key {
	case "TableName":
		q.hasTable = !r.Null()
		if q.hasTable {
			q.TableName = r.String()
		}
	case "IndexName":
		q.hasIndex = !r.Null()
		if q.hasIndex {
			q.IndexName = r.String()
		}
	case "Item":
		q.Item = r.Item()
	case "Key":
		q.Key = r.Item()
	case "ExclusiveStartKey":
		q.ExclusiveStartKey = r.Item()
	case "ConditionExpression":
		q.Condition = p.text()
	case "UpdateExpression":
		q.Update = p.text()
	case "ProjectionExpression":
		q.Projection = p.text()
	case "KeyConditionExpression":
		q.KeyCondition = p.text()
	case "FilterExpression":
		q.Filter = p.text()
	case "ExpressionAttributeNames":
		if !r.Null() {
			q.Names = map[string]string{}
			r.Object(func(name string) { q.Names[name] = r.String() })
		}
	case "ExpressionAttributeValues":
		q.Values = r.ExpressionValues()
	case "ReturnValues":
		q.ReturnValues = p.choice()
	case "ReturnValuesOnConditionCheckFailure":
		q.ReturnOnFailure = p.choice()
	case "ReturnConsumedCapacity":
		q.ReturnCapacity = p.choice()
	case "ReturnItemCollectionMetrics":
		q.ReturnMetrics = p.choice()
	case "Select":
		q.Select = p.choice()
	case "ConsistentRead":
		q.Consistent = r.Bool()
	case "ScanIndexForward":
		q.Backward = !r.Null() && !r.Bool()
	case "Limit":
		q.Limit = p.integer()
	case "Segment":
		q.Segment = p.integer()
	case "TotalSegments":
		q.TotalSegments = p.integer()
	case "ClientRequestToken":
		q.hasToken = !r.Null()
		if q.hasToken {
			q.Token = r.String()
		}
	case "TransactItems":
		if q.hasActions = !r.Null(); !q.hasActions {
			break
		}
		r.Array(func() { q.Actions = append(q.Actions, p.action(transactActions)) })
	case "RequestItems":
		if q.hasItems = !r.Null(); !q.hasItems {
			break
		}
		r.Object(func(table string) { q.Tables = append(q.Tables, p.batch(table)) })
	default:
		if legacy[key] && p.unsupported == "" {
			p.unsupported = key
		}
		r.Skip()
	}
}

// Kinds of actions. As of any object, other members are passed over.
const (
	transactActions = " Put Update Delete ConditionCheck Get "
	batchActions    = " PutRequest DeleteRequest "
)

// action reads {"Put": {…}}.
func (p *parser) action(kinds string) action {
	var a action
	p.r.Object(func(kind string) {
		if !strings.Contains(kinds, " "+kind+" ") {
			p.r.Skip()
			return
		}
		if p.r.Null() {
			return
		}
		a.kind = kind
		a.kinds++
		p.r.Object(func(key string) { p.member(&a.request, key) })
	})
	return a
}

// batch reads what is asked of a table: an object with Keys, or an array of writes.
func (p *parser) batch(table string) tableBatch {
	b := tableBatch{table: table}
	if p.r.ArrayNext() {
		p.r.Array(func() { b.writes = append(b.writes, p.action(batchActions)) })
		return b
	}
	p.r.Object(func(key string) {
		if key == "Keys" {
			if b.hasKeys = !p.r.Null(); !b.hasKeys {
				return
			}
			p.r.Array(func() { b.keys = append(b.keys, p.r.Item()) })
			return
		}
		p.member(&b.request, key)
	})
	return b
}
