package test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
)

// refused makes a handshake that must fail and returns the answer's status and body.
func (d *target) refused(t testing.TB, h handshake) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, resp, err := d.dial(ctx, h)
	if err == nil {
		_ = ws.CloseNow()
		return http.StatusSwitchingProtocols, ""
	}
	if resp == nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// mustBeUnauthorized checks that a handshake is answered 401, in the same words whatever is wrong.
func (d *target) mustBeUnauthorized(t testing.TB, h handshake) {
	t.Helper()
	status, body := d.refused(t, h)
	var message map[string]string
	if err := json.Unmarshal([]byte(body), &message); err != nil {
		t.Errorf("the body is %q: %v", body, err)
	}
	delete(message, "connectionId")
	delete(message, "requestId")
	if status != http.StatusUnauthorized || len(message) != 1 || message["message"] != "Unauthorized" {
		t.Errorf("answered %d %s, want 401 and nothing but Unauthorized", status, body)
	}
}

// G9: what is no access token of the stack's user pool opens no connection, and the answer does
// not say why.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice := d.user(t, "alice")
	parts := strings.Split(alice.AccessToken, ".")
	decode := func(part string) map[string]any {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		var m map[string]any
		if err == nil {
			err = json.Unmarshal(raw, &m)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	encode := func(m map[string]any) string {
		j, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(j)
	}
	header, claims := decode(parts[0]), jwt.MapClaims(decode(parts[1]))
	kid, _ := header["kid"].(string)
	mallory := decode(parts[1])
	mallory["username"] = "mallory-" + d.run
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	none := encode(map[string]any{"alg": "none", "kid": kid}) + "." + parts[1] + "."
	flipped := []byte(parts[2])
	flipped[10] ^= 1
	for name, token := range map[string]string{
		"none":                       "",
		"garbage":                    "garbage",
		"three parts of garbage":     "a.b.c",
		"not ASCII":                  "\u00e9.\u00e9.\u00e9",
		"an id token":                alice.IdToken,
		"a refresh token":            alice.RefreshToken,
		"without signature":          parts[0] + "." + parts[1] + ".",
		"of two parts":               parts[0] + "." + parts[1],
		"alg none":                   none,
		"alg None":                   strings.Replace(none, parts[0], encode(map[string]any{"alg": "None"}), 1),
		"another user's name":        parts[0] + "." + encode(mallory) + "." + parts[2],
		"a changed signature":        parts[0] + "." + parts[1] + "." + string(flipped),
		"signed by a stranger":       sign(t, jwt.SigningMethodRS256, kid, stranger, claims),
		"of an unknown key":          sign(t, jwt.SigningMethodRS256, "made-up", stranger, claims),
		"HS256, by the key's id":     sign(t, jwt.SigningMethodHS256, kid, []byte(kid), claims),
		"HS256, by nothing":          sign(t, jwt.SigningMethodHS256, kid, []byte{}, claims),
		"RS512":                      sign(t, jwt.SigningMethodRS512, kid, stranger, claims),
		"with a character after it":  alice.AccessToken + "x",
		"cut":                        alice.AccessToken[:len(alice.AccessToken)-1],
		"of 9,000 bytes":             strings.Repeat("x", 9000),
		"with its payload in base64": parts[0] + "." + parts[1] + "==." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			d.mustBeUnauthorized(t, as(token, "laptop"))
			if token != "" && token == strings.Map(subprotocolByte, token) {
				d.mustBeUnauthorized(t, handshake{subprotocols: []string{"duet.v1", "bearer." + token, "device.laptop"}})
			}
		})
	}
	good := alice.AccessToken
	for name, h := range map[string]handshake{
		"in the URL":             {query: "?token=" + good + "&access_token=" + good + "&Authorization=Bearer%20" + good, header: http.Header{"X-Duet-Device": {"laptop"}}},
		"of the Basic scheme":    {header: http.Header{"X-Duet-Device": {"laptop"}, "Authorization": {"Basic " + good}}},
		"without a scheme":       {header: http.Header{"X-Duet-Device": {"laptop"}, "Authorization": {good}}},
		"in a cookie":            {header: http.Header{"X-Duet-Device": {"laptop"}, "Cookie": {"token=" + good}}},
		"good, and another":      {header: as(good, "laptop").header, subprotocols: []string{"duet.v1", "bearer." + alice.IdToken}},
		"good, beside a bad one": {header: http.Header{"X-Duet-Device": {"laptop"}, "Authorization": {"Bearer x", "Bearer " + good}}},
	} {
		t.Run(name, func(t *testing.T) { d.mustBeUnauthorized(t, h) })
	}
	alice.connect(t, "laptop") // and the good one is good
}

// subprotocolByte drops what cannot stand in a subprotocol's name.
func subprotocolByte(r rune) rune {
	if r > ' ' && r < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) {
		return r
	}
	return -1
}

// G9: with an issuer of its own the test can make tokens that only differ in what is claimed.
func TestBadClaims(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := i.target(t)
	name := "alice-" + d.run
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for what, changes := range map[string]jwt.MapClaims{
		"expired":                    {"exp": in(-time.Second)},
		"expired long ago":           {"exp": in(-1000 * time.Hour)},
		"without an end":             {"exp": nil},
		"with a text as its end":     {"exp": "tomorrow"},
		"not yet valid":              {"nbf": in(time.Hour)},
		"issued in the future":       {"iat": in(time.Hour)},
		"of another issuer":          {"iss": "https://issuer.example"},
		"of the issuer with a slash": {"iss": i.url + "/"},
		"without an issuer":          {"iss": nil},
		"for another client":         {"aud": "somebody-else"},
		"for other clients":          {"aud": []string{"a", "b"}},
		"for nobody":                 {"aud": nil},
		"for one named alike":        {"aud": audience + "2"},
		"an id token":                {"token_use": "id"},
		"an access token, of Cognito's kind, for another client": {"token_use": "access", "client_id": "somebody-else"},
		"without a name":         {"username": nil},
		"with a name as a list":  {"username": []string{name}},
		"with a name not usable": {"username": "Alice Liddell"},
		"with two names' id":     {"username": "a~b"},
	} {
		t.Run(what, func(t *testing.T) {
			d.mustBeUnauthorized(t, as(i.sign(t, i.claims(name, changes)), "laptop"))
		})
	}
	// The oldest trick: the public key as the secret of HMAC.
	public := []byte(base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()))
	d.mustBeUnauthorized(t, as(sign(t, jwt.SigningMethodHS256, i.kid, public, i.claims(name, nil)), "laptop"))
	d.mustBeUnauthorized(t, as(sign(t, jwt.SigningMethodNone, i.kid, jwt.UnsafeAllowNoneSignatureType, i.claims(name, nil)), "laptop"))

	// And good ones: a second audience does not harm, nor does a clock that is a little ahead.
	i.user(t, d, "alice", jwt.MapClaims{"aud": []string{"other", audience}, "iat": in(5 * time.Second)}).connect(t, "laptop")
}

// G9: nothing is done for or sent to a connection whose token has expired.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	d := i.target(t)
	bob := i.user(t, d, "bob", nil)
	sender := bob.connect(t, "laptop")
	// The token's end is in whole seconds.
	alice := i.user(t, d, "alice", jwt.MapClaims{"exp": time.Now().Add(2 * time.Second).Unix()})
	asking, listening := alice.connect(t, "asking"), alice.connect(t, "listening")
	sender.send(alice, 1, "in time")
	listening.messages(alice.with(bob), 1)

	// The first request after the end is refused.
	limit := timeout()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for ended := false; !ended; {
		f, err := asking.ask(map[string]any{"action": "ping"})
		switch {
		case err != nil:
			t.Fatal(err)
		case f.Type == "error":
			if f.Code != "session_expired" || f.Retry {
				t.Fatalf("a ping after the session's end = %s, want session_expired", f.raw)
			}
			ended = true
		case f.Type != "pong":
			t.Fatalf("a ping = %s", f.raw)
		default:
			select {
			case <-again.C:
			case <-limit:
				t.Fatal("the session does not end")
			}
		}
	}
	for _, request := range []map[string]any{
		message(bob, 1, "too late"), {"action": "sync"}, {"action": "history", "conversation": alice.with(bob), "after": 0},
	} {
		if f := asking.must("error", request); f.Code != "session_expired" {
			t.Errorf("%v after the session's end = %s, want session_expired", request, f.raw)
		}
	}
	// The one that only listens is told with the next message, which it does not get.
	sender.send(alice, 2, "too late")
	pushes := listening.pushes("closing", func(all []frame) bool {
		return slices.ContainsFunc(all, func(f frame) bool { return f.Type == "closing" })
	})
	for _, f := range pushes {
		if f.Type == "closing" && f.Reason != "session_expired" || f.Type == "message" && f.Seq > 1 {
			t.Errorf("after the session's end came %s", f.raw)
		}
	}
	if code := listening.closed(); code != websocket.StatusNormalClosure {
		t.Errorf("closed with %d, want 1000", code)
	}
	d.mustBeUnauthorized(t, as(alice.AccessToken, "listening"))
	// A fresh token finds everything.
	alice.AccessToken = i.sign(t, i.claims(alice.name, nil))
	if log := alice.connect(t, "listening").log(alice.with(bob), 0); len(log) != 2 {
		t.Errorf("the log has %d messages, want 2", len(log))
	}
}

// protocol.md, Connect: the token is good, the device is not.
func TestBadDevices(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice := d.user(t, "alice")
	for _, device := range []string{"", "a b", "tab\u00e9", strings.Repeat("d", 37), "a/b", "a~b", "a.b", "a,b"} {
		if status, body := d.refused(t, as(alice.AccessToken, device)); status != http.StatusBadRequest {
			t.Errorf("device %q: %d %s, want 400", device, status, body)
		}
	}
	two := as(alice.AccessToken, "one")
	two.header.Add("X-Duet-Device", "two")
	if status, body := d.refused(t, two); status != http.StatusBadRequest {
		t.Errorf("two devices: %d %s, want 400", status, body)
	}
	for _, device := range []string{"d", strings.Repeat("d", 36), "A-Z_a-z-0-9", "9d5d2c1a-0f36-4a6c-9a0e-3c1f6f0f7a11"} {
		alice.connect(t, device)
	}
}

// protocol.md, Connect: the header beats the subprotocol, duet.v1 is selected where it was
// offered, and nothing of the token comes back.
func TestSubprotocols(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	bearer := "bearer." + alice.AccessToken
	for i, test := range []struct {
		handshake
		selected, device string
	}{
		{handshake{subprotocols: []string{"duet.v1", bearer, "device.tab"}}, "duet.v1", "tab"},
		{handshake{subprotocols: []string{"device.tab", bearer, "other.v9", "duet.v1"}}, "duet.v1", "tab"},
		{handshake{subprotocols: []string{"duet.v1", bearer, "device.tab"}, header: http.Header{"X-Duet-Device": {"header"}}}, "duet.v1", "header"},
		{handshake{subprotocols: []string{"duet.v1", "device.tab"}, header: http.Header{"Authorization": {"Bearer " + alice.AccessToken}}}, "duet.v1", "tab"},
		{handshake{subprotocols: []string{bearer, "device.tab"}}, "", "tab"},
		{as(alice.AccessToken, "program"), "", "program"},
	} {
		ws, resp, err := d.dial(t.Context(), test.handshake)
		if err != nil {
			t.Fatalf("%v: %v", test.handshake, err)
		}
		if got := ws.Subprotocol(); got != test.selected {
			t.Errorf("offered %q: selected %q, want %q", test.subprotocols, got, test.selected)
		}
		for name, values := range resp.Header {
			if strings.Contains(strings.Join(values, " "), alice.AccessToken[:20]) {
				t.Errorf("the answer's %s holds the token", name)
			}
		}
		c := alice.attach(t, test.device, ws)
		// The device is the one that messages are stored under.
		c.send(bob, int64(1+count(c.log(alice.with(bob), 0), alice.name, test.device)), "hello")
		log := c.log(alice.with(bob), 0)
		if got := log[len(log)-1].Device; got != test.device || len(log) != i+1 {
			t.Errorf("offered %q: the device is %q, want %q", test.subprotocols, got, test.device)
		}
		c.drop()
	}
}

// count counts a device's messages in a log.
func count(log []entry, user, device string) (n int) {
	for _, m := range log {
		if m.From == user && m.Device == device {
			n++
		}
	}
	return n
}

// protocol.md, Connect: 20 other devices at most; the same device again replaces itself.
func TestConnectionsOfOneUser(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob := d.user(t, "alice"), d.user(t, "bob")
	var all []*conn
	for i := range 20 {
		all = append(all, alice.connect(t, "device"+string(rune('a'+i))))
	}
	if status, body := d.refused(t, as(alice.AccessToken, "one-more")); status != http.StatusTooManyRequests {
		t.Errorf("the 21st device: %d %s, want 429", status, body)
	}
	// The user's own devices are not counted against others, nor against themselves.
	bob.connect(t, "phone")
	newer := alice.connect(t, all[0].device)
	replaced := all[0].pushes("closing", func(all []frame) bool { return len(all) > 0 })
	if f := replaced[0]; f.Type != "closing" || f.Reason != "replaced" {
		t.Errorf("the older connection got %s, want closing with replaced", f.raw)
	}
	if code := all[0].closed(); code != websocket.StatusNormalClosure {
		t.Errorf("the older connection was closed with %d, want 1000", code)
	}
	newer.must("pong", map[string]any{"action": "ping"})
	// All that are left get a message, each once.
	bob.connect(t, "phone").send(alice, 1, "to all of you")
	for _, c := range append(all[1:], newer) {
		c.messages(alice.with(bob), 1)
	}
	// One that closes makes room.
	all[1].drop()
	limit := timeout()
	for {
		status, body := d.refused(t, as(alice.AccessToken, "one-more"))
		if status == http.StatusSwitchingProtocols {
			break
		}
		select {
		case <-limit:
			t.Fatalf("there is no room after one has closed: %d %s", status, body)
		default:
		}
	}
}

// G9: users see only their own conversations, live, by sync and by history.
func TestThirdUserSeesNothing(t *testing.T) {
	t.Parallel()
	d := newTarget(t)
	alice, bob, eve := d.user(t, "alice"), d.user(t, "bob"), d.user(t, "eve")
	listening := eve.connect(t, "listening")
	a, b := alice.connect(t, "laptop"), bob.connect(t, "laptop")
	for n := int64(1); n <= 20; n++ {
		a.send(bob, n, "a secret")
		b.send(alice, n, "another one")
	}
	a.messages(alice.with(bob), 20)
	b.messages(alice.with(bob), 20)
	conversation := alice.with(bob)
	for _, request := range []map[string]any{
		{"action": "history", "conversation": conversation, "after": 0},
		{"action": "history", "conversation": conversation, "before": 100},
		{"action": "sync", "cursors": map[string]int64{conversation: 0}},
		{"action": "send", "conversation": conversation, "n": 1, "text": "hello"},
	} {
		if f := listening.must("error", request); f.Code != "forbidden" || strings.Contains(f.raw, "secret") {
			t.Errorf("%v = %s, want forbidden", request, f.raw)
		}
	}
	if all, _ := listening.sync(nil, ""); len(all) != 0 {
		t.Errorf("sync tells a third user of %v", all)
	}
	// A page asked for with another's since shows nothing either.
	_, last := a.sync(nil, "")
	if all, _ := listening.sync(nil, last.Since); len(all) != 0 {
		t.Errorf("sync since another's tells a third user of %v", all)
	}
	// What comes after all of it, comes alone.
	a.send(eve, 1, "for you")
	got := listening.pushes("one message", func(all []frame) bool { return len(all) > 0 })
	if len(got) != 1 || got[0].From != alice.name || got[0].Conversation != alice.with(eve) {
		t.Errorf("a third user was sent %v", got)
	}
}
