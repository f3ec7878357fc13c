// Package remote puts other engines behind the local cloud: any DynamoDB and any Cognito user pools that
// speak AWS's JSON protocols, AWS's own included. What is asked of the local cloud goes on to them; what
// it needs of them, tables, streams and pools, it makes or finds there.
//
// It speaks the protocol itself, signed by the AWS SDK's signer: requests and answers pass through as they
// are, whatever they hold, which the SDK's typed clients would not let them.
package remote

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Bounds of talking to an engine.
const (
	probeTimeout   = 5 * time.Second  // of the first request
	requestTimeout = 30 * time.Second // of any other: a slow engine is still an engine
	maxAnswer      = 32 << 20         // bytes; DynamoDB's largest answer is 16 MB of items
	idlePerHost    = 256              // connections kept for the next burst
)

// DefaultRegion is the Region of engines whose URL does not tell another.
const DefaultRegion = "us-east-1"

// LocalKey is the access key, and the secret one, that signs requests to engines on this machine. DynamoDB
// Local without -sharedDb keeps tables by access key and Region: `aws --region us-east-1` with this key
// sees what the local cloud has there.
const LocalKey = "local"

// endpoint is where one service of an engine answers.
type endpoint struct {
	url         string
	service     string // as signatures name it
	contentType string
	region      string
	client      *http.Client
	signer      *v4.Signer
	credentials aws.CredentialsProvider
	now         func() time.Time
}

// newEndpoint reads a URL. Requests are signed with the user's usual AWS credentials, or with LocalKey if
// the URL is this machine's.
func newEndpoint(ctx context.Context, raw, service, contentType string, now func() time.Time) (*endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is no URL of an engine: give one like http://localhost:8000 or https://%s.%s.amazonaws.com", raw, service, DefaultRegion)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 2*idlePerHost, idlePerHost
	transport.DisableCompression = true
	e := &endpoint{
		url: u.String(), service: service, contentType: contentType, region: regionOf(u.Hostname(), service),
		client: &http.Client{Transport: transport, Timeout: requestTimeout}, signer: v4.NewSigner(), now: now,
	}
	if isLoopback(u.Hostname()) {
		e.credentials = credentials.NewStaticCredentialsProvider(LocalKey, LocalKey, "")
	} else {
		usual, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return nil, fmt.Errorf("your AWS configuration cannot be read, which is needed to sign requests to %s: %w", raw, err)
		}
		if _, err := usual.Credentials.Retrieve(ctx); err != nil {
			return nil, fmt.Errorf("requests to %s are to be signed, and there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (%w)", raw, err)
		}
		e.credentials = usual.Credentials
		if e.region == "" {
			e.region = usual.Region
		}
	}
	if e.region == "" {
		e.region = DefaultRegion
	}
	return e, nil
}

// regionOf is the Region in the name of one of AWS's hosts, "" in others.
func regionOf(host, service string) string {
	rest, ok := strings.CutPrefix(host, service+".")
	if !ok {
		return ""
	}
	region, rest, _ := strings.Cut(rest, ".")
	if rest != "amazonaws.com" && rest != "amazonaws.com.cn" && rest != "api.aws" {
		return ""
	}
	return region
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// to is the same engine's service at another host.
func (e *endpoint) to(host string) *endpoint {
	other := *e
	u, _ := url.Parse(e.url) // it was one
	u.Host = host
	other.url = u.String()
	return &other
}

// post makes one request. An error means that there is no answer: what was asked may have been done.
func (e *endpoint) post(ctx context.Context, target string, body []byte) (status int, header http.Header, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header.Set("Content-Type", e.contentType)
	request.Header.Set("X-Amz-Target", target)
	keys, err := e.credentials.Retrieve(ctx)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("AWS credentials: %w", err)
	}
	sum := sha256.Sum256(body)
	if err := e.signer.SignHTTP(ctx, keys, request, hex.EncodeToString(sum[:]), e.service, e.region, e.now()); err != nil {
		return 0, nil, nil, fmt.Errorf("sign the request: %w", err)
	}
	return e.do(request)
}

func (e *endpoint) do(request *http.Request) (int, http.Header, []byte, error) {
	response, err := e.client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // the URL stands in what callers say
		}
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("the answer broke off: %w", err)
	}
	return response.StatusCode, response.Header, answer, nil
}

// call makes one request that the local cloud has itself, and decodes its answer.
func (e *endpoint) call(ctx context.Context, target string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	status, header, answer, err := e.post(ctx, target, body)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", e.url, err)
	}
	return decode(e.url, status, header, answer, out)
}

// decode reads an answer, which is a *refusal if the engine refuses.
func decode(url string, status int, header http.Header, answer []byte, out any) error {
	if status != http.StatusOK {
		var told struct {
			Type    string `json:"__type"`
			Message string `json:"message"` // DynamoDB says Message: names match in any case
		}
		if json.Unmarshal(answer, &told) != nil || told.Type == "" {
			return foreign(url, status, header, answer)
		}
		_, kind, found := strings.Cut(told.Type, "#")
		if !found {
			kind = told.Type
		}
		return &refusal{status: status, kind: kind, message: told.Message}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return foreign(url, status, header, answer)
	}
	return nil
}

// foreign is an answer that nobody gives who speaks the protocol.
func foreign(url string, status int, header http.Header, answer []byte) error {
	const shown = 60
	text := strings.Join(strings.Fields(string(answer[:min(len(answer), 4*shown)])), " ")
	if len(text) > shown {
		text = text[:shown] + "…"
	}
	return &foreignError{fmt.Sprintf("what answers at %s does not speak AWS's JSON protocol: status %d, %s, %q", url, status, header.Get("Content-Type"), text)}
}

type foreignError struct{ text string }

func (e *foreignError) Error() string { return e.text }

// refusal is an error that the engine answered.
type refusal struct {
	status        int
	kind, message string
}

func (r *refusal) Error() string { return r.kind + ": " + r.message }

// isRefusal tells whether an engine answered with one of these errors.
func isRefusal(err error, kinds ...string) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return false
	}
	for _, kind := range kinds {
		if r.kind == kind {
			return true
		}
	}
	return false
}

// passes tells whether the same request may succeed later: there was no answer, or one that says so.
func passes(err error) bool {
	var r *refusal
	var f *foreignError
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &f):
		return false
	case errors.As(err, &r):
		return r.status >= 500 || isRefusal(err, "ThrottlingException", "LimitExceededException", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "TooManyRequestsException")
	}
	return true
}

// again tries a request until it succeeds, is refused for good, or has failed for a minute.
func again(ctx context.Context, try func() error) error {
	wait := 50 * time.Millisecond
	for deadline := time.Now().Add(time.Minute); ; wait = min(2*wait, 5*time.Second) {
		err := try()
		if err == nil || !passes(err) || time.Now().Add(wait).After(deadline) {
			return err
		}
		if pause(ctx, wait) != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
