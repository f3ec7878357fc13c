package gateway_test

import (
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/duet-chat/duet/localstack/gateway"
)

// A deployment changes what messages of open connections run, and who may connect; another API it is not.
func TestDeploy(t *testing.T) {
	connected := record(answer(ok))
	s := startChat(t, chatFunctions().with("connect", connected.invoke).
		with("new", answer(`{"statusCode":200,"body":"new"}`)).
		with("nobody", answer(`{"principalId":"x","policyDocument":{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"execute-api:Invoke","Resource":"*"}]}}`)),
		gateway.Limits{})
	c := s.dial(nil)
	write(t, c, `{"action":"kind"}`)
	wantRead(t, c, "fallback")

	api := chatAPI()
	api.Routes["kind"] = gateway.Route{Function: "new", Reply: true}
	api.Authorizer = &gateway.Authorizer{Function: "nobody"}
	if err := s.Deploy(api); err != nil {
		t.Fatal(err)
	}
	write(t, c, `{"action":"kind"}`)
	wantRead(t, c, "new")
	if status, _ := s.refusal("/prod", nil); status != 403 {
		t.Errorf("a handshake after the authorizer came = %d, want 403", status)
	}

	api = chatAPI()
	api.RouteSelectionExpression = "$request.body.kind"
	if err := s.Deploy(api); err != nil {
		t.Fatal(err)
	}
	write(t, c, `{"kind":"echo"}`)
	wantRead(t, c, `{"kind":"echo"}`)
	_ = s.dial(nil).Close(websocket.StatusNormalClosure, "")

	for name, change := range map[string]func(*gateway.API){
		"stage":       func(a *gateway.API) { a.Stage = "test" },
		"id":          func(a *gateway.API) { a.ID = "other" },
		"name":        func(a *gateway.API) { a.Name = "other" },
		"selection":   func(a *gateway.API) { a.RouteSelectionExpression = "kind" },
		"no function": func(a *gateway.API) { a.Routes["echo"] = gateway.Route{} },
	} {
		bad := chatAPI()
		change(&bad)
		if err := s.Deploy(bad); err == nil || !strings.Contains(err.Error(), `api "`) {
			t.Errorf("another %s: %v, want an error", name, err)
		}
	}
	write(t, c, `{"kind":"echo"}`) // what was refused has changed nothing
	wantRead(t, c, `{"kind":"echo"}`)
}
