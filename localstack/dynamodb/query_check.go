package dynamodb

import (
	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
)

// checkSelect checks the Select parameter against the others.
func (r *rangeRead) checkSelect() error {
	q := r.request
	if err := checkEnum("select", q.Select, "SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"); err != nil {
		return err
	}
	switch {
	case q.Select == "SPECIFIC_ATTRIBUTES" && q.Projection == nil:
		return invalid("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case q.Select == "COUNT" && q.Projection != nil:
		return invalid("Cannot specify the ProjectionExpression when choosing to get only the Count")
	case q.Select != "" && q.Select != "SPECIFIC_ATTRIBUTES" && q.Projection != nil:
		return invalid("Cannot specify the ProjectionExpression when choosing to get %s", q.Select)
	case q.Select == "ALL_PROJECTED_ATTRIBUTES" && r.index == nil:
		return invalid("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	case q.Select == "ALL_ATTRIBUTES" && r.index != nil && r.index.included != nil:
		if r.index.global {
			return invalid("One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection type is not ALL", r.index.name)
		}
		return errFetch(r.index.name)
	}
	return nil
}

// errFetch refuses what AWS does at the price of a read of each item: an index with the projection ALL
// is what a stack should have where it reads more than the index holds.
func errFetch(index string) error {
	return invalid("The local DynamoDB does not support fetching attributes that the local secondary index %s does not project", index)
}

// checkProjected checks that the index holds what the expressions name.
func (r *rangeRead) checkProjected() error {
	if r.index == nil || r.index.included == nil {
		return nil
	}
	if r.filter != nil {
		if lacking := r.lacking(r.filter.Attributes()); lacking != nil {
			return invalid("One or more parameter values were invalid: Secondary index %s does not project one or more filter attributes: %v", r.index.name, lacking)
		}
	}
	if r.projection != nil {
		if lacking := r.lacking(r.projection.Attributes()); lacking != nil {
			if r.index.global {
				return invalid("One or more parameter values were invalid: Global secondary index %s does not project %v", r.index.name, lacking)
			}
			return errFetch(r.index.name)
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
	s := r.schema()
	for _, name := range r.filter.Attributes() {
		if s.has(name) {
			return invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: %s", name)
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
