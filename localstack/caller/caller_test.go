package caller_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/duet-chat/duet/localstack/caller"
)

func TestFunctionIsKnownByItsAccessKey(t *testing.T) {
	const rest = "/20261123/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00"
	for _, test := range []struct{ name, authorization, want string }{
		{"signed by a function", "AWS4-HMAC-SHA256 Credential=" + caller.AccessKeyID("SendFunction") + rest, "SendFunction"},
		{"signed by the owner", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE" + rest, ""},
		{"unsigned", "", ""},
		{"a token", "Bearer function-SendFunction", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", nil)
			if test.authorization != "" {
				r.Header.Set("Authorization", test.authorization)
			}
			if got := caller.Function(caller.FromRequest(r)); got != test.want {
				t.Errorf("caller = %q, want %q", got, test.want)
			}
		})
	}
	if got := caller.Function(caller.With(context.Background(), "Send")); got != "Send" {
		t.Errorf("caller = %q, want Send", got)
	}
}

func TestInvocationIsKnownByItsTrace(t *testing.T) {
	const id = "1-67891233-abcdef012345678912345678"
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("X-Amzn-Trace-Id", "Root="+id+";Parent=53995c3f42cd8ad8;Sampled=0")
	if got := caller.Invocation(caller.FromRequest(r)); got != "" {
		t.Errorf("invocation of the owner's request = %q, want none", got)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+caller.AccessKeyID("Send")+"/20261123/us-east-1/dynamodb/aws4_request")
	if got := caller.Invocation(caller.FromRequest(r)); got != id {
		t.Errorf("invocation = %q, want %q", got, id)
	}
	r.Header.Del("X-Amzn-Trace-Id")
	if got := caller.Invocation(caller.FromRequest(r)); got != "" {
		t.Errorf("invocation without a trace = %q, want none", got)
	}
}
