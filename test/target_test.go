package test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/duet-chat/duet/localstack/cloud"
	"github.com/duet-chat/duet/localstack/cloudtest"
)

// patience bounds every wait for something that is to happen: a test that reaches it has failed.
const patience = 45 * time.Second // more than the 30 s after which a client asks whether it missed a push

// target is the deployment under test.
type target struct {
	base    string // of a local cloud, "" for any other deployment
	own     bool   // nobody else uses it
	outputs map[string]string
	// run makes names of this run differ from those of earlier runs on the same deployment.
	run string
}

// newTarget is the deployment that DUET_TARGET names, or a local cloud of the test's own.
func newTarget(t testing.TB, changes ...func(*cloud.Config)) *target {
	t.Helper()
	if where := os.Getenv("DUET_TARGET"); where != "" {
		return targetAt(t, where)
	}
	needEngine(t)
	d := targetAt(t, cloudtest.Start(t, changes...).URL())
	d.own = true
	t.Cleanup(func() { rights.note(t, d) })
	return d
}

// localTarget is a local cloud of the test's own, for tests that need what AWS does not have.
func localTarget(t testing.TB, why string, changes ...func(*cloud.Config)) *target {
	t.Helper()
	needLocal(t, why)
	return newTarget(t, changes...)
}

// unthrottled is for tests whose raw connections do not back off as clients do, and might be faster
// than an AWS account may be.
func unthrottled(c *cloud.Config) { c.Limits.NoThrottling = true }

// needLocal skips a test that cannot run on every deployment.
func needLocal(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("DUET_TARGET") != "" {
		t.Skip("needs a local cloud of its own, since it " + why + ": unset DUET_TARGET")
	}
}

func targetAt(t testing.TB, where string) *target {
	t.Helper()
	d := &target{run: newRun()}
	var raw []byte
	var err error
	if strings.HasPrefix(where, "http") {
		d.base = strings.TrimSuffix(where, "/")
		raw = d.get(t, "/_local/outputs")
	} else if raw, err = os.ReadFile(where); err != nil {
		t.Fatalf("DUET_TARGET: %v", err)
	}
	if json.Unmarshal(raw, &d.outputs) != nil {
		var list []struct{ OutputKey, OutputValue string }
		if err := json.Unmarshal(raw, &list); err != nil {
			t.Fatalf("DUET_TARGET %s holds no stack's outputs: %v", where, err)
		}
		d.outputs = map[string]string{}
		for _, o := range list {
			d.outputs[o.OutputKey] = o.OutputValue
		}
	}
	if d.outputs["WebSocketUrl"] == "" {
		t.Fatalf("DUET_TARGET %s has no output WebSocketUrl", where)
	}
	return d
}

// newRun makes a name's end that no other run has.
func newRun() string { return strings.ToLower(rand.Text()[:6]) }

func (d *target) get(t testing.TB, path string) []byte {
	t.Helper()
	resp, err := http.Get(d.base + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %v", path, resp.Status, err)
	}
	return body
}

// tokens are what signing in gives.
type tokens struct{ AccessToken, IdToken, RefreshToken string }

// user is a registered user with tokens.
type user struct {
	target *target
	name   string
	tokens
}

const password = "Correct-horse-7"

// user signs up a user and signs it in. Its name begins with the given one.
func (d *target) user(t testing.TB, name string) *user {
	t.Helper()
	u := &user{target: d, name: name + "-" + d.run}
	if status, body := d.cognito(t, "SignUp", map[string]any{
		"ClientId": d.outputs["UserPoolClientId"], "Username": u.name, "Password": password,
	}); status != http.StatusOK {
		t.Fatalf("sign up %s: %d %s", u.name, status, body)
	}
	u.signIn(t)
	return u
}

// users signs up a user for each name.
func (d *target) users(t testing.TB, names ...string) []*user {
	t.Helper()
	users := make([]*user, len(names))
	for i, name := range names {
		users[i] = d.user(t, name)
	}
	return users
}

func (u *user) signIn(t testing.TB) {
	t.Helper()
	status, body := u.target.cognito(t, "InitiateAuth", map[string]any{
		"ClientId": u.target.outputs["UserPoolClientId"], "AuthFlow": "USER_PASSWORD_AUTH",
		"AuthParameters": map[string]string{"USERNAME": u.name, "PASSWORD": password},
	})
	var answer struct{ AuthenticationResult tokens }
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
		t.Fatalf("sign in %s: %d %s", u.name, status, body)
	}
	u.tokens = answer.AuthenticationResult
}

// with is the id of the user's conversation with another.
func (u *user) with(other *user) string {
	return min(u.name, other.name) + "~" + max(u.name, other.name)
}

func (d *target) cognito(t testing.TB, operation string, in any) (status int, body []byte) {
	t.Helper()
	return post(t, d.outputs["UserPoolEndpoint"], "application/x-amz-json-1.1", "AWSCognitoIdentityProviderService."+operation, in)
}

// dynamodb calls a local cloud's DynamoDB.
func (d *target) dynamodb(t testing.TB, operation string, in any) []byte {
	t.Helper()
	status, body := post(t, d.base, "application/x-amz-json-1.0", "DynamoDB_20120810."+operation, in)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", operation, status, body)
	}
	return body
}

// post makes one call of an AWS JSON protocol.
func post(t testing.TB, url, contentType, operation string, in any) (status int, body []byte) {
	t.Helper()
	j, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(j))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Amz-Target", operation)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
	return resp.StatusCode, body
}

// usage is what a local cloud has metered: service → resource → metric → units.
type usage map[string]map[string]map[string]float64

func (d *target) usage(t testing.TB) usage {
	t.Helper()
	var u usage
	if err := json.Unmarshal(d.get(t, "/_local/usage"), &u); err != nil {
		t.Fatal(err)
	}
	return u
}

// since is what came on top of an earlier reading.
func (u usage) since(before usage) usage {
	difference := usage{}
	for service, resources := range u {
		difference[service] = map[string]map[string]float64{}
		for resource, metrics := range resources {
			difference[service][resource] = map[string]float64{}
			for metric, units := range metrics {
				difference[service][resource][metric] = units - before[service][resource][metric]
			}
		}
	}
	return difference
}

// sum adds a metric up over a service's resources.
func (u usage) sum(service, metric string) (units float64) {
	for _, metrics := range u[service] {
		units += metrics[metric]
	}
	return units
}

// String lists what is not zero.
func (u usage) String() string {
	var b strings.Builder
	for service, resources := range u {
		for resource, metrics := range resources {
			for metric, units := range metrics {
				if units != 0 {
					fmt.Fprintf(&b, "%s %s %s %g\n", service, resource, metric, units)
				}
			}
		}
	}
	return b.String()
}

// port is where a local cloud listens.
func (d *target) port(t testing.TB) int {
	t.Helper()
	u, err := url.Parse(d.base)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
