package cloud_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/duet-chat/duet/localstack/cloud"
)

const patience = 20 * time.Second

// call makes one call of an AWS JSON protocol.
func call(t testing.TB, url, target string, in any) (status int, header http.Header, body []byte) {
	t.Helper()
	j, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(j))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", target)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

func get(t testing.TB, url string, into any) (status int) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return resp.StatusCode
}

func cognito(t testing.TB, c *cloud.Cloud, operation string, in map[string]any) map[string]any {
	t.Helper()
	in["ClientId"] = c.Outputs()["UserPoolClientId"]
	status, _, body := call(t, c.Outputs()["UserPoolEndpoint"], "AWSCognitoIdentityProviderService."+operation, in)
	var out map[string]any
	if err := json.Unmarshal(body, &out); err != nil || status != http.StatusOK {
		t.Fatalf("%s: %d %s", operation, status, body)
	}
	return out
}

func signUp(t testing.TB, c *cloud.Cloud, user string) {
	t.Helper()
	cognito(t, c, "SignUp", map[string]any{"Username": user, "Password": "Correct-horse-7"})
}

// signIn returns an access and a refresh token.
func signIn(t testing.TB, c *cloud.Cloud, user string) (access, refresh string) {
	t.Helper()
	out := cognito(t, c, "InitiateAuth", map[string]any{
		"AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": map[string]string{"USERNAME": user, "PASSWORD": "Correct-horse-7"},
	})
	result, _ := out["AuthenticationResult"].(map[string]any)
	access, _ = result["AccessToken"].(string)
	refresh, _ = result["RefreshToken"].(string)
	return access, refresh
}

// socket is a WebSocket on which requests are asked one after the other.
type socket struct {
	t testing.TB
	*websocket.Conn
}

func connect(t testing.TB, c *cloud.Cloud, token, device string) socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, c.Outputs()["WebSocketUrl"], &websocket.DialOptions{HTTPHeader: http.Header{
		"Authorization": {"Bearer " + token}, "X-Duet-Device": {device},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	return socket{t, ws}
}

func (s socket) next() map[string]any {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	_, data, err := s.Read(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	var frame map[string]any
	if err := json.Unmarshal(data, &frame); err != nil {
		s.t.Fatalf("%q: %v", data, err)
	}
	return frame
}

// ask sends a request and returns the next frame.
func (s socket) ask(request string) map[string]any {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.Write(ctx, websocket.MessageText, []byte(request)); err != nil {
		s.t.Fatal(err)
	}
	return s.next()
}
