package cloud_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/duet-chat/duet/localstack/bill"
	"github.com/duet-chat/duet/localstack/caller"
	"github.com/duet-chat/duet/localstack/cloudtest"
	"github.com/duet-chat/duet/localstack/iam"
)

// What is metered has a price, and a page that shows both.
func TestUsageIsShown(t *testing.T) {
	c := cloudtest.Start(t)
	get := func(path string) (*http.Response, string) {
		t.Helper()
		response, err := http.Get(c.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("GET %s = %s, %v", path, response.Status, err)
		}
		return response, string(body)
	}
	asked(t, c.URL(), "", "GetItem", `{"TableName":"duet-UsersTable","Key":{"user":{"S":"alice"}},"ConsistentRead":true}`)
	var b bill.Bill
	if _, body := get("/_local/bill"); json.Unmarshal([]byte(body), &b) != nil || b.USD <= 0 {
		t.Errorf("bill = %s, want the price of a read", body)
	}
	response, body := get("/_local/")
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") || !strings.Contains(body, "/_local/usage") {
		t.Error("there is no page")
	}
	if policy := response.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("the page may load what it likes: %q", policy)
	}
}

// A metric that gets another name loses its price, and its place on the page.
func TestEveryPriceIsOfSomethingMetered(t *testing.T) {
	c := cloudtest.Start(t)
	usage := c.Meter().Usage()
	prices, err := bill.Current()
	if err != nil {
		t.Fatal(err)
	}
	metered := func(service, metric string) {
		t.Helper()
		for _, metrics := range usage[service] {
			if _, ok := metrics[metric]; ok {
				return
			}
		}
		t.Errorf("nothing of %s is metered as %s", service, metric)
	}
	for _, price := range prices.Prices {
		metered(price.Service, price.Metric)
	}
	metered("apigateway", "connections") // which the page shows
}

// asked makes a request of DynamoDB, signed as a function unless it is "", and returns status and body.
func asked(t *testing.T, url, function, operation, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	if function != "" {
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+caller.AccessKeyID(function)+"/20261123/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

// Least privilege holds here as on AWS: a function does what its policy in template.yaml names.
func TestPoliciesAreEnforced(t *testing.T) {
	c := cloudtest.Start(t)
	const key = `{"TableName":"duet-ConnectionsTable","Key":{"user":{"S":"alice"},"connection":{"S":"x"}}}`
	for _, test := range []struct {
		name, function, operation, body string
		denied                          string // action and resource
	}{
		{"what is granted", "PingFunction", "GetItem", key, ""},
		{"another action", "PingFunction", "DeleteItem", key, "dynamodb:DeleteItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/duet-ConnectionsTable"},
		{"another table", "PingFunction", "Scan", `{"TableName":"duet-MessagesTable"}`, "dynamodb:Scan on resource: arn:aws:dynamodb:us-east-1:000000000000:table/duet-MessagesTable"},
		{"an index that is granted", "SyncFunction", "Query", `{"TableName":"duet-MembersTable","IndexName":"by-activity","KeyConditionExpression":"#u = :u","ExpressionAttributeNames":{"#u":"user"},"ExpressionAttributeValues":{":u":{"S":"alice"}}}`, ""},
		{"the table of a granted index", "SyncFunction", "Query", `{"TableName":"duet-MembersTable","KeyConditionExpression":"#u = :u","ExpressionAttributeNames":{"#u":"user"},"ExpressionAttributeValues":{":u":{"S":"alice"}}}`, "dynamodb:Query on resource: arn:aws:dynamodb:us-east-1:000000000000:table/duet-MembersTable"},
		{"a function without policies", "FallbackFunction", "GetItem", key, "dynamodb:GetItem on resource"},
		{"the owner", "", "Scan", `{"TableName":"duet-MessagesTable"}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := asked(t, c.URL(), test.function, test.operation, test.body)
			switch {
			case test.denied == "" && status != http.StatusOK:
				t.Errorf("%d %s, want it allowed", status, body)
			case test.denied != "" && (status != http.StatusBadRequest || !strings.Contains(body, "AccessDeniedException") || !strings.Contains(body, test.denied)):
				t.Errorf("%d %s, want it denied: %s", status, body, test.denied)
			}
		})
	}
}

// What functions have used of their rights, and asked for in vain, is told.
func TestRightsAreTold(t *testing.T) {
	c := cloudtest.Start(t)
	table := "arn:aws:dynamodb:us-east-1:000000000000:table/" + c.Outputs()["ConnectionsTable"]
	body := `{"TableName":"` + c.Outputs()["ConnectionsTable"] + `","Key":{"user":{"S":"alice"},"connection":{"S":"x"}}}`
	rights := func() iam.Rights {
		t.Helper()
		var all map[string]iam.Rights
		if status := get(t, c.URL()+"/_local/rights", &all); status != http.StatusOK || len(all["PingFunction"].NeverUsed)+len(all["PingFunction"].Used) != 1 {
			t.Fatalf("GET /_local/rights = %d %+v, want what each function may do", status, all)
		}
		return all["PingFunction"]
	}
	if r := rights(); len(r.Used) != 0 || len(r.Denied) != 0 {
		t.Errorf("before anything was asked: %+v", r)
	}
	asked(t, c.URL(), "PingFunction", "GetItem", body)
	asked(t, c.URL(), "PingFunction", "DeleteItem", body)
	r := rights()
	if want := []iam.Right{{Action: "dynamodb:GetItem", Resource: table}}; !slices.Equal(r.Used, want) {
		t.Errorf("used = %v, want %v", r.Used, want)
	}
	if want := []iam.Right{{Action: "dynamodb:DeleteItem", Resource: table}}; !slices.Equal(r.Denied, want) {
		t.Errorf("denied = %v, want %v", r.Denied, want)
	}
}
