package remote

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/duet-chat/duet/localstack/dynamodb"
)

// tableTimeout bounds the wait for a new table: on AWS one takes seconds, with indexes up to minutes.
const tableTimeout = 5 * time.Minute

// Plan is tables that are to be there. Those that are there are checked when they are planned; the others
// are made by Apply. It is for one goroutine.
type Plan struct {
	ctx     context.Context
	d       *DynamoDB
	specs   []dynamodb.TableSpec
	missing []string
}

// NewPlan begins a plan without tables. What it asks the engine ends with ctx.
func (d *DynamoDB) NewPlan(ctx context.Context) *Plan { return &Plan{ctx: ctx, d: d} }

// described is what DescribeTable tells.
type described struct {
	TableStatus            string
	TableArn, TableId      string
	LatestStreamArn        string
	AttributeDefinitions   []dynamodb.AttributeDefinition
	KeySchema              []dynamodb.KeyElement
	LocalSecondaryIndexes  []dynamodb.IndexSpec
	GlobalSecondaryIndexes []struct {
		dynamodb.IndexSpec
		IndexStatus string
	}
	StreamSpecification *dynamodb.StreamSpecification
}

func (t *described) active() bool {
	for _, ix := range t.GlobalSecondaryIndexes {
		if ix.IndexStatus != "" && ix.IndexStatus != "ACTIVE" {
			return false
		}
	}
	return t.TableStatus == "" || t.TableStatus == "ACTIVE"
}

func (d *DynamoDB) describe(ctx context.Context, table string) (*described, error) {
	var answer struct{ Table *described }
	err := again(ctx, func() error { return d.items.call(ctx, itemTarget+"DescribeTable", named(table), &answer) })
	if err == nil && answer.Table == nil {
		err = fmt.Errorf("what answers at %s tells nothing of the table %s", d.items.url, table)
	}
	return answer.Table, err
}

func named(table string) map[string]string { return map[string]string{"TableName": table} }

// Table plans a table, and tells what it is. Of one that is not there yet, the ARNs are not the ones that
// it will have: plan again after Apply. A table with other keys, indexes or stream is an error.
func (p *Plan) Table(spec dynamodb.TableSpec) (dynamodb.TableInfo, error) {
	there, err := p.d.describe(p.ctx, spec.TableName)
	switch {
	case isRefusal(err, "ResourceNotFoundException"):
		p.specs, p.missing = append(p.specs, spec), append(p.missing, spec.TableName)
		info := dynamodb.TableInfo{Name: spec.TableName, ARN: "arn:aws:dynamodb:" + p.d.items.region + ":000000000000:table/" + spec.TableName}
		if spec.StreamSpecification != nil {
			info.StreamARN = info.ARN + "/stream/to-be-made"
		}
		return info, nil
	case err != nil:
		return dynamodb.TableInfo{}, err
	}
	if wanted, found := shapeOf(spec), there.shape(); wanted != found {
		return dynamodb.TableInfo{}, fmt.Errorf("the table %s is at %s with other keys, indexes or stream than the template gives it: delete it there, give the stack another name with --stack, or change the template back (there: %s, in the template: %s)",
			spec.TableName, p.d.URL(), found, wanted)
	}
	if spec.StreamSpecification != nil && there.LatestStreamArn == "" {
		return dynamodb.TableInfo{}, fmt.Errorf("the table %s at %s has no stream: what answers there has none, or tells no ARN", spec.TableName, p.d.URL())
	}
	p.specs = append(p.specs, spec)
	return dynamodb.TableInfo{Name: spec.TableName, ARN: there.TableArn, ID: there.TableId, StreamARN: there.LatestStreamArn}, nil
}

// Names are the planned tables' names.
func (p *Plan) Names() []string {
	names := []string{}
	for _, spec := range p.specs {
		names = append(names, spec.TableName)
	}
	return names
}

// Missing are the planned tables that were not there.
func (p *Plan) Missing() []string { return slices.Clone(p.missing) }

// Apply makes the tables that are not there, waits until all can be used, and sets their TTL attributes.
func (p *Plan) Apply() error {
	for _, spec := range p.specs {
		if slices.Contains(p.missing, spec.TableName) {
			if err := p.d.create(p.ctx, spec); err != nil {
				return fmt.Errorf("table %s: %w", spec.TableName, err)
			}
		}
	}
	for _, spec := range p.specs {
		if err := p.d.awaitActive(p.ctx, spec.TableName); err != nil {
			return fmt.Errorf("table %s: %w", spec.TableName, err)
		}
		if err := p.d.setTTL(p.ctx, spec); err != nil {
			return fmt.Errorf("table %s: set its TTL attribute: %w", spec.TableName, err)
		}
	}
	return nil
}

// create asks for a table. One that somebody else has made meanwhile is as good: who plans again checks it.
func (d *DynamoDB) create(ctx context.Context, spec dynamodb.TableSpec) error {
	spec.TimeToLiveAttribute = "" // which CreateTable does not know
	err := again(ctx, func() error { return d.items.call(ctx, itemTarget+"CreateTable", spec, nil) })
	if isRefusal(err, "ResourceInUseException") {
		return nil
	}
	return err
}

func (d *DynamoDB) awaitActive(ctx context.Context, table string) error {
	ctx, cancel := context.WithTimeout(ctx, tableTimeout)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		t, err := d.describe(ctx, table)
		// A new table may not be found for a moment. Source: DynamoDB API reference, DescribeTable.
		if err != nil && !isRefusal(err, "ResourceNotFoundException") {
			return err
		}
		if err == nil && t.active() {
			return nil
		}
		if pause(ctx, wait) != nil {
			return fmt.Errorf("it is not ACTIVE at %s after %v", d.URL(), tableTimeout)
		}
	}
}

func (d *DynamoDB) setTTL(ctx context.Context, spec dynamodb.TableSpec) error {
	var now struct {
		TimeToLiveDescription struct{ AttributeName, TimeToLiveStatus string }
	}
	if err := again(ctx, func() error { return d.items.call(ctx, itemTarget+"DescribeTimeToLive", named(spec.TableName), &now) }); err != nil {
		return err
	}
	set := ""
	if t := now.TimeToLiveDescription; strings.HasPrefix(t.TimeToLiveStatus, "ENABL") {
		set = t.AttributeName
	}
	if set == spec.TimeToLiveAttribute {
		return nil
	}
	in := map[string]any{"TableName": spec.TableName, "TimeToLiveSpecification": map[string]any{
		"Enabled": spec.TimeToLiveAttribute != "", "AttributeName": cmp.Or(spec.TimeToLiveAttribute, set),
	}}
	return again(ctx, func() error { return d.items.call(ctx, itemTarget+"UpdateTimeToLive", in, nil) })
}

// shapeOf is what cannot be changed on a table that exists, in one spelling.
func shapeOf(s dynamodb.TableSpec) string {
	definitions := slices.SortedFunc(slices.Values(s.AttributeDefinitions), func(a, b dynamodb.AttributeDefinition) int {
		return strings.Compare(a.AttributeName, b.AttributeName)
	})
	stream := s.StreamSpecification
	if stream != nil && !stream.StreamEnabled {
		stream = nil
	}
	// Plain values: cannot fail.
	j, _ := json.Marshal([]any{definitions, s.KeySchema, indexShapes(s.LocalSecondaryIndexes), indexShapes(s.GlobalSecondaryIndexes), stream})
	return string(j)
}

func indexShapes(all []dynamodb.IndexSpec) []dynamodb.IndexSpec {
	shapes := []dynamodb.IndexSpec{}
	for _, ix := range all {
		ix.ProvisionedThroughput = nil
		ix.Projection.NonKeyAttributes = slices.Sorted(slices.Values(ix.Projection.NonKeyAttributes))
		shapes = append(shapes, ix)
	}
	slices.SortFunc(shapes, func(a, b dynamodb.IndexSpec) int { return strings.Compare(a.IndexName, b.IndexName) })
	return shapes
}

func (t *described) shape() string {
	spec := dynamodb.TableSpec{
		AttributeDefinitions: t.AttributeDefinitions, KeySchema: t.KeySchema,
		LocalSecondaryIndexes: t.LocalSecondaryIndexes, StreamSpecification: t.StreamSpecification,
	}
	for _, ix := range t.GlobalSecondaryIndexes {
		spec.GlobalSecondaryIndexes = append(spec.GlobalSecondaryIndexes, ix.IndexSpec)
	}
	return shapeOf(spec)
}
