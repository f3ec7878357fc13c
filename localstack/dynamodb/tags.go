package dynamodb

import (
	"encoding/json"
	"maps"
	"strings"
)

// Tag is a name and a value that a table is marked with; nothing depends on it.
type Tag struct{ Key, Value string }

// maxTags bounds the tags of a table. Source: DynamoDB developer guide, "Tagging restrictions".
const maxTags = 50

func addTags(s *settings, tags []Tag) error {
	all := maps.Clone(s.Tags)
	if all == nil {
		all = map[string]string{}
	}
	for _, t := range tags {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 {
			return invalid("One or more parameter values were invalid: a tag's key has 1 to 128 characters, its value at most 256: %q", t.Key)
		}
		all[t.Key] = t.Value
	}
	if len(all) > maxTags {
		return invalid("One or more parameter values were invalid: a table has at most %d tags", maxTags)
	}
	s.Tags = all
	return nil
}

// tagged finds the table of an operation on tags. Source of the texts: observed on AWS by dynalite.
func (db *DB) tagged(arn string) (*table, error) {
	if arn == "" {
		return nil, invalid("Invalid TableArn")
	}
	if !strings.HasPrefix(arn, "arn:aws:dynamodb:") || !strings.Contains(arn, ":table/") {
		return nil, invalid("Invalid TableArn: Invalid ResourceArn provided as input %s", arn)
	}
	t, err := db.table(arn)
	if err != nil {
		return nil, refuse("ResourceNotFoundException", "Requested resource not found: ResourcArn: %s not found", arn)
	}
	return t, nil
}

func (db *DB) tagResource(body []byte) ([]byte, error) {
	var in struct {
		ResourceArn string
		Tags        *[]Tag
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	switch {
	case in.Tags == nil:
		return nil, missing("tags")
	case len(*in.Tags) == 0:
		return nil, invalid("Atleast one Tag needs to be provided as Input.")
	}
	t, err := db.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return []byte("{}"), db.change(t, func(s *settings) error { return addTags(s, *in.Tags) })
}

func (db *DB) untagResource(body []byte) ([]byte, error) {
	var in struct {
		ResourceArn string
		TagKeys     *[]string
	}
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	switch {
	case in.TagKeys == nil:
		return nil, missing("tagKeys")
	case len(*in.TagKeys) == 0:
		return nil, invalid("Atleast one Tag Key needs to be provided as Input.")
	}
	t, err := db.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return []byte("{}"), db.change(t, func(s *settings) error {
		s.Tags = maps.Clone(s.Tags)
		for _, key := range *in.TagKeys {
			delete(s.Tags, key)
		}
		return nil
	})
}

// listTags lists all tags at once, as AWS does with the few that a table may have.
func (db *DB) listTags(body []byte) ([]byte, error) {
	var in struct{ ResourceArn string }
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	t, err := db.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags := []Tag{}
	set := t.setting()
	for _, key := range sortedKeys(set.Tags) {
		tags = append(tags, Tag{key, set.Tags[key]})
	}
	return json.Marshal(map[string]any{"Tags": tags})
}
