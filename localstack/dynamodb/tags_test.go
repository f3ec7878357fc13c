package dynamodb_test

import (
	"fmt"
	"testing"
)

func TestTagsAreKeptAndListed(t *testing.T) {
	dir := t.TempDir()
	f := newFixture(t, dir)
	made := f.do("CreateTable", `{`+plainTable+`,"BillingMode":"PAY_PER_REQUEST","Tags":[{"Key":"stage","Value":"test"}]}`)
	arn := made["TableDescription"].(map[string]any)["TableArn"]
	list := func() string {
		t.Helper()
		return asJSON(t, f.do("ListTagsOfResource", fmt.Sprintf(`{"ResourceArn":%q}`, arn)))
	}
	f.do("TagResource", fmt.Sprintf(`{"ResourceArn":%q,"Tags":[{"Key":"b","Value":"2"},{"Key":"stage","Value":"live"}]}`, arn))
	if got, want := list(), `{"Tags":[{"Key":"b","Value":"2"},{"Key":"stage","Value":"live"}]}`; got != want {
		t.Errorf("tags = %s, want %s", got, want)
	}
	f.do("UntagResource", fmt.Sprintf(`{"ResourceArn":%q,"TagKeys":["b","unknown"]}`, arn))
	if got, want := list(), `{"Tags":[{"Key":"stage","Value":"live"}]}`; got != want {
		t.Errorf("tags = %s, want %s", got, want)
	}
	for _, tt := range []struct{ operation, body, errorType, message string }{
		{"ListTagsOfResource", `{}`, "ValidationException", "Invalid TableArn"},
		{"ListTagsOfResource", `{"ResourceArn":"arn:aws:s3:::x"}`, "ValidationException", "Invalid TableArn: Invalid ResourceArn provided as input arn:aws:s3:::x"},
		{"ListTagsOfResource", `{"ResourceArn":"arn:aws:dynamodb:us-east-1:000000000000:table/none"}`, "ResourceNotFoundException", "Requested resource not found: ResourcArn: arn:aws:dynamodb:us-east-1:000000000000:table/none not found"},
		{"TagResource", fmt.Sprintf(`{"ResourceArn":%q,"Tags":[]}`, arn), "ValidationException", "Atleast one Tag needs to be provided as Input."},
		{"UntagResource", fmt.Sprintf(`{"ResourceArn":%q}`, arn), "ValidationException", "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"},
	} {
		if errorType, message := f.refused(tt.operation, tt.body); errorType != tt.errorType || message != tt.message {
			t.Errorf("%s %s = %s: %s, want %s: %s", tt.operation, tt.body, errorType, message, tt.errorType, tt.message)
		}
	}
}
