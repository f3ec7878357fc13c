package dynamodb

import (
	"slices"
	"strings"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
)

// checkProjection checks that Select leaves a choice to the projection.
func (q *request) checkProjection() error {
	switch {
	case q.Projection == nil || q.Select == "" || q.Select == "SPECIFIC_ATTRIBUTES":
		return nil
	case q.Select == "COUNT":
		return invalid("Cannot specify the ProjectionExpression when choosing to get only the Count")
	}
	return invalid("Cannot specify the ProjectionExpression when choosing to get %s", q.Select)
}

// checkSelect checks the Select parameter against the index.
func (r *rangeRead) checkSelect() error {
	q := r.request
	switch {
	case q.Select == "SPECIFIC_ATTRIBUTES" && q.Projection == nil:
		return invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case q.Select == "ALL_PROJECTED_ATTRIBUTES" && r.index == nil:
		return invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	case q.Select == "ALL_ATTRIBUTES" && r.index != nil && r.index.included != nil:
		if r.index.global {
			return invalid("One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection type is not ALL", r.index.name)
		}
		r.fetch = true
	}
	return nil
}

// checkProjected checks that the index holds what the expressions name. What a local secondary index does
// not hold of a projection is fetched from the table. Source: DynamoDB developer guide, "Local secondary
// indexes", "Attribute projections".
func (r *rangeRead) checkProjected() error {
	if r.index == nil || r.index.included == nil {
		return nil
	}
	if r.filter != nil {
		if lacking := r.lacking(r.filter.Attributes()); lacking != nil {
			return invalid("One or more parameter values were invalid: Secondary index %s does not project one or more filter attributes: [%s]", r.index.name, strings.Join(lacking, ", "))
		}
	}
	if r.projection != nil {
		if lacking := r.lacking(r.projection.Attributes()); lacking != nil {
			if r.index.global {
				return invalid("One or more parameter values were invalid: Global secondary index %s does not project [%s]", r.index.name, strings.Join(lacking, ", "))
			}
			r.fetch = true
		}
	}
	return nil
}

// lacking are those attributes that the index does not project.
func (r *rangeRead) lacking(names []string) []string {
	var lacking []string
	for _, name := range names {
		if !r.index.included[name] {
			lacking = append(lacking, name)
		}
	}
	return lacking
}

// checkFilter checks that a Query's filter leaves the keys to its key condition.
func (r *rangeRead) checkFilter() error {
	if r.filter == nil {
		return nil
	}
	s, names := r.schema(), r.filter.Attributes()
	for _, k := range []expr.Key{s.pk, s.sk} {
		if k.Name != "" && slices.Contains(names, k.Name) {
			return invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", k.Name)
		}
	}
	return nil
}

// checkBounds checks that a key condition asks for values that a key can have.
func (r *rangeRead) checkBounds(c expr.KeyCondition) error {
	s := r.schema()
	for _, bound := range []struct {
		key   string
		value attr.Value
	}{{s.pk.Name, c.Partition}, {s.sk.Name, c.Low}, {s.sk.Name, c.High}} {
		if v := bound.value; !v.IsZero() && v.Type() != attr.N && v.Text() == "" {
			return emptyKey(v, bound.key)
		}
	}
	return nil
}

// checkStart checks that ExclusiveStartKey, if it is well formed, lies in the range. Source of the texts:
// observed on AWS by dynalite.
func (r *rangeRead) checkStart(c expr.KeyCondition) error {
	key, s := r.request.ExclusiveStartKey, r.schema()
	if key == nil {
		return nil
	}
	if err := r.checkStartKey(); err != nil {
		return err
	}
	if c.Sort != expr.Any && !c.Match(key[s.sk.Name]) {
		return invalid("The provided starting key does not match the range key predicate")
	}
	if !attr.Equal(key[s.pk.Name], c.Partition) {
		return invalid("The provided starting key is outside query boundaries based on provided conditions")
	}
	return nil
}

// checkStartKey checks that ExclusiveStartKey has the keys of the table and of the index.
func (r *rangeRead) checkStartKey() error {
	key := r.request.ExclusiveStartKey
	schemas := []schema{r.table.key}
	if r.index != nil {
		schemas = append(schemas, r.index.key)
	}
	want := map[string]bool{}
	for _, s := range schemas {
		for _, k := range []expr.Key{s.pk, s.sk} {
			if k.Name != "" {
				want[k.Name] = true
			}
		}
	}
	if len(key) != len(want) || len(keyOf(key, schemas...)) != len(key) {
		return invalid("The provided starting key is invalid")
	}
	for _, s := range schemas {
		for _, k := range []expr.Key{s.pk, s.sk} {
			if k.Name != "" && key[k.Name].Type() != k.Type {
				return invalid("The provided starting key is invalid: %s", keyMismatch)
			}
		}
	}
	return nil
}
