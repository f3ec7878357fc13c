package dynamodb

import (
	"fmt"
	"slices"
	"strings"
)

// Limits of names. Source: DynamoDB API reference, TableName of any operation.
const (
	minName = 3
	maxName = 255
)

// violations collects what is wrong with the members of a request, each seen by itself. AWS checks that
// before anything else, and tells all of it at once, up to ten.
type violations []string

const maxViolations = 10

// add notes what a member violates. value is as AWS shows it: in quotes, or null.
func (v *violations) add(value, member, constraint string) {
	if len(*v) < maxViolations {
		*v = append(*v, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", value, member, constraint))
	}
}

func (v *violations) missing(member string) { v.add("null", member, "Member must not be null") }

func (v violations) err() error {
	switch len(v) {
	case 0:
		return nil
	case 1:
		return invalid("1 validation error detected: %s", v[0])
	}
	return invalid("%d validation errors detected: %s", len(v), strings.Join(v, "; "))
}

// atLeast checks a number that may be left out.
func (v *violations) atLeast(n *int64, least int64, member string) {
	if n != nil && *n < least {
		v.add(fmt.Sprintf("'%d'", *n), member, fmt.Sprintf("Member must have value greater than or equal to %d", least))
	}
}

// enum checks a member that may be left out. values stand in the order of AWS's text.
func (v *violations) enum(value, member string, values ...string) {
	if value != "" && !slices.Contains(values, value) {
		v.add("'"+strings.TrimPrefix(value, emptyChoice)+"'", member, "Member must satisfy enum value set: ["+strings.Join(values, ", ")+"]")
	}
}

const namePattern = "[a-zA-Z0-9_.-]+"

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-') {
			return false
		}
	}
	return s != ""
}

// name checks the name of a table or an index. A table may also be named by its ARN.
func (v *violations) name(name, member string) {
	if strings.HasPrefix(name, "arn:") {
		return
	}
	if !isName(name) {
		v.add("'"+name+"'", member, "Member must satisfy regular expression pattern: "+namePattern)
	}
	if len(name) < minName {
		v.add("'"+name+"'", member, fmt.Sprintf("Member must have length greater than or equal to %d", minName))
	}
	if len(name) > maxName {
		v.add("'"+name+"'", member, fmt.Sprintf("Member must have length less than or equal to %d", maxName))
	}
}

// table checks that a request, or an action of one behind a prefix, names its table.
func (v *violations) table(q *request, prefix string) {
	if !q.hasTable {
		v.missing(prefix + "tableName")
		return
	}
	v.name(q.TableName, prefix+"tableName")
}

// reports checks what a request wants to be told besides its result.
func (v *violations) reports(q *request) {
	v.enum(q.ReturnCapacity, "returnConsumedCapacity", "INDEXES", "TOTAL", "NONE")
	v.enum(q.ReturnMetrics, "returnItemCollectionMetrics", "SIZE", "NONE")
}

// write checks a write, or an action behind a prefix.
func (v *violations) write(kind string, q *request, prefix string) {
	v.table(q, prefix)
	switch {
	case kind == put && q.Item == nil:
		v.missing(prefix + "item")
	case kind != put && q.Key == nil:
		v.missing(prefix + "key")
	}
	v.enum(q.ReturnValues, prefix+"returnValues", "ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW")
	v.enum(q.ReturnOnFailure, prefix+"returnValuesOnConditionCheckFailure", "ALL_OLD", "NONE")
}

// checkSingle checks PutItem, UpdateItem or DeleteItem.
func (q *request) checkSingle(kind string) error {
	var v violations
	v.write(kind, q, "")
	v.reports(q)
	if err := v.err(); err != nil {
		return err
	}
	return q.checkWritePlaceholders(kind)
}

func (q *request) checkWritePlaceholders(kind string) error {
	if kind == update {
		return q.checkPlaceholders(source{"UpdateExpression", q.Update}, source{"ConditionExpression", q.Condition})
	}
	return q.checkPlaceholders(source{"ConditionExpression", q.Condition})
}

func (q *request) checkGet() error {
	var v violations
	v.get(q, "")
	v.reports(q)
	if err := v.err(); err != nil {
		return err
	}
	return q.checkPlaceholders(source{projectionExpression, q.Projection})
}

func (v *violations) get(q *request, prefix string) {
	v.table(q, prefix)
	if q.Key == nil {
		v.missing(prefix + "key")
	}
}

func (q *request) checkRange() error {
	var v violations
	v.enum(q.Select, "select", "SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")
	if q.hasIndex {
		v.name(q.IndexName, "indexName")
	}
	v.table(q, "")
	v.reports(q)
	v.atLeast(q.Limit, 1, "limit")
	v.atLeast(q.Segment, 0, "segment")
	v.atLeast(q.TotalSegments, 1, "totalSegments")
	if q.TotalSegments != nil && *q.TotalSegments > maxSegments {
		v.add(fmt.Sprintf("'%d'", *q.TotalSegments), "totalSegments", fmt.Sprintf("Member must have value less than or equal to %d", maxSegments))
	}
	return v.err()
}

func (q *request) checkQuery() error {
	if err := q.checkRange(); err != nil {
		return err
	}
	return q.checkPlaceholders(source{projectionExpression, q.Projection}, source{"FilterExpression", q.Filter}, source{"KeyConditionExpression", q.KeyCondition})
}

func (q *request) checkScan() error {
	if err := q.checkRange(); err != nil {
		return err
	}
	if err := q.checkPlaceholders(source{projectionExpression, q.Projection}, source{"FilterExpression", q.Filter}); err != nil {
		return err
	}
	switch {
	case q.Segment != nil && q.TotalSegments == nil:
		return invalid("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case q.Segment == nil && q.TotalSegments != nil:
		return invalid("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case q.Segment != nil && *q.Segment >= *q.TotalSegments:
		return invalid("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is not less than TotalSegments: %d", *q.Segment, *q.TotalSegments)
	}
	return nil
}

// batch checks what the members of both batch operations have in common.
func (v *violations) batch(q *request) {
	v.reports(q)
	switch {
	case !q.hasItems:
		v.missing("requestItems")
	case len(q.Tables) == 0:
		v.add("'{}'", "requestItems", "Member must have length greater than or equal to 1")
	}
	for i := range q.Tables {
		if name := q.Tables[i].table; (!isName(name) || len(name) < minName || len(name) > maxName) && !strings.HasPrefix(name, "arn:") {
			v.add("'{"+name+"=…}'", "requestItems", fmt.Sprintf("Map keys must satisfy constraint: [Member must have length less than or equal to %d, Member must have length greater than or equal to %d, Member must satisfy regular expression pattern: %s]", maxName, minName, namePattern))
		}
	}
}

func (q *request) checkBatchGet() error {
	var v violations
	v.batch(q)
	for i := range q.Tables {
		b := &q.Tables[i]
		member := "requestItems." + b.table + ".member.keys"
		switch {
		case !b.hasKeys:
			v.missing(member)
		case len(b.keys) == 0:
			v.add("'[]'", member, "Member must have length greater than or equal to 1")
		}
	}
	if err := v.err(); err != nil {
		return err
	}
	for i := range q.Tables {
		b := &q.Tables[i]
		if err := b.checkPlaceholders(source{projectionExpression, b.Projection}); err != nil {
			return err
		}
	}
	return nil
}

func (q *request) checkBatchWrite() error {
	var v violations
	v.batch(q)
	for i := range q.Tables {
		b := &q.Tables[i]
		if len(b.writes) == 0 {
			v.add("'{"+b.table+"=[]}'", "requestItems", fmt.Sprintf("Map value must satisfy constraint: [Member must have length less than or equal to %d, Member must have length greater than or equal to 1]", maxBatchWrites))
		}
		for j := range b.writes {
			a := &b.writes[j]
			prefix := fmt.Sprintf("requestItems.%s.member.%d.member.%s.", b.table, j+1, memberName(a.kind))
			switch {
			case a.kind == "PutRequest" && a.Item == nil:
				v.missing(prefix + "item")
			case a.kind == "DeleteRequest" && a.Key == nil:
				v.missing(prefix + "key")
			}
		}
	}
	return v.err()
}

// actions checks the number of a transaction's actions.
func (v *violations) actions(q *request) {
	v.reports(q)
	switch {
	case !q.hasActions:
		v.missing("transactItems")
	case len(q.Actions) == 0:
		v.add("'[]'", "transactItems", "Member must have length greater than or equal to 1")
	case len(q.Actions) > maxActions:
		// The value is the whole list in AWS's own notation, which nobody reads.
		v.add("'[…]'", "transactItems", fmt.Sprintf("Member must have length less than or equal to %d", maxActions))
	}
}

func (q *request) checkTransactWrite() error {
	var v violations
	v.actions(q)
	switch n := len(q.Token); {
	case n > maxToken:
		v.add("'"+q.Token+"'", "clientRequestToken", fmt.Sprintf("Member must have length less than or equal to %d", maxToken))
	case n == 0 && q.hasToken:
		v.add("''", "clientRequestToken", "Member must have length greater than or equal to 1")
	}
	for i := range q.Actions {
		a := &q.Actions[i]
		// First without a prefix, which would cost more than the check.
		var own violations
		if own.action(a, ""); own != nil {
			v.action(a, fmt.Sprintf("transactItems.%d.member.%s.", i+1, memberName(a.kind)))
		}
	}
	if err := v.err(); err != nil {
		return err
	}
	for i := range q.Actions {
		a := &q.Actions[i]
		switch {
		case a.kinds > 1:
			return invalid("TransactItems can only contain one of Check, Put, Update or Delete")
		case a.kinds == 0 || a.kind == get:
			return invalid("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")
		}
	}
	return nil
}

// action checks a write of a transaction behind a prefix.
func (v *violations) action(a *action, prefix string) {
	if a.kinds == 0 || a.kind == get {
		return // told later, in words of its own
	}
	v.write(a.kind, &a.request, prefix)
	switch {
	case a.kind == update && a.Update == nil:
		v.missing(prefix + "updateExpression")
	case a.kind == conditionCheck && a.Condition == nil:
		v.missing(prefix + "conditionExpression")
	}
}

func (q *request) checkTransactGet() error {
	var v violations
	v.actions(q)
	for i := range q.Actions {
		a := &q.Actions[i]
		switch {
		case a.kind != get:
			v.missing(fmt.Sprintf("transactItems.%d.member.get", i+1))
		default:
			v.get(&a.request, fmt.Sprintf("transactItems.%d.member.get.", i+1))
		}
	}
	return v.err()
}

// source is an expression of a request, nil if it has none.
type source struct {
	name string
	text *string
}

const projectionExpression = "ProjectionExpression"

// checkPlaceholders checks that names and values come with expressions that can use them. Source of the
// texts: observed on AWS by dynalite.
func (q *request) checkPlaceholders(sources ...source) error {
	any, valued := false, false // an expression; one that takes values
	for _, s := range sources {
		any = any || s.text != nil
		valued = valued || s.text != nil && s.name != projectionExpression
	}
	if q.Names != nil && !any {
		return invalid("ExpressionAttributeNames can only be specified when using expressions")
	}
	if q.Values == nil || valued {
		return nil
	}
	var names []string
	for _, s := range sources {
		if s.name != projectionExpression {
			names = append(names, s.name)
		}
	}
	switch len(names) {
	case 0:
		return nil // of a read by key, for which values do not exist
	case 1:
		return invalid("ExpressionAttributeValues can only be specified when using expressions: %s is null", names[0])
	}
	return invalid("ExpressionAttributeValues can only be specified when using expressions: %s are null", strings.Join(names, " and "))
}
