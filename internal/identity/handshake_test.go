package identity_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/identity"
)

func TestFromHandshake(t *testing.T) {
	type headers = map[string][]string
	for _, test := range []struct {
		name    string
		headers headers
		want    identity.Handshake
		why     identity.Category
	}{
		{"a program", headers{"Authorization": {"Bearer abc"}, "X-Duet-Device": {"laptop"}}, identity.Handshake{Token: "abc", Device: "laptop"}, ""},
		{"a browser", headers{"Sec-WebSocket-Protocol": {"duet.v1, bearer.abc, device.tab-1"}}, identity.Handshake{Token: "abc", Device: "tab-1", Subprotocols: true}, ""},
		{"a browser, a header each", headers{"Sec-Websocket-Protocol": {"duet.v1", "bearer.abc", "device.tab-1"}}, identity.Handshake{Token: "abc", Device: "tab-1", Subprotocols: true}, ""},
		{"names in lower case", headers{"authorization": {"Bearer abc"}, "x-duet-device": {"laptop"}}, identity.Handshake{Token: "abc", Device: "laptop"}, ""},
		{"the scheme in any case", headers{"Authorization": {"bEARER  abc "}}, identity.Handshake{Token: "abc"}, ""},
		{"the device header beats the subprotocol", headers{"X-Duet-Device": {"laptop"}, "Sec-WebSocket-Protocol": {"bearer.abc,device.tab"}}, identity.Handshake{Token: "abc", Device: "laptop", Subprotocols: true}, ""},
		{"no device", headers{"Authorization": {"Bearer abc"}}, identity.Handshake{Token: "abc"}, ""},
		{"an invalid device", headers{"Authorization": {"Bearer abc"}, "X-Duet-Device": {"my laptop"}}, identity.Handshake{Token: "abc"}, ""},
		{"too long a device", headers{"Authorization": {"Bearer abc"}, "X-Duet-Device": {strings.Repeat("d", 37)}}, identity.Handshake{Token: "abc"}, ""},
		{"two devices", headers{"Authorization": {"Bearer abc"}, "X-Duet-Device": {"a", "b"}}, identity.Handshake{Token: "abc"}, ""},
		{"subprotocols without a token", headers{"Authorization": {"Bearer abc"}, "Sec-WebSocket-Protocol": {"duet.v1"}}, identity.Handshake{Token: "abc", Subprotocols: true}, ""},
		{"an empty offer", headers{"Authorization": {"Bearer abc"}, "Sec-WebSocket-Protocol": {" , "}}, identity.Handshake{Token: "abc"}, ""},
		{"the same token twice", headers{"Authorization": {"Bearer abc"}, "Sec-WebSocket-Protocol": {"bearer.abc"}}, identity.Handshake{Token: "abc", Subprotocols: true}, ""},
		{"another scheme beside it", headers{"Authorization": {"Basic dXNlcg=="}, "Sec-WebSocket-Protocol": {"bearer.abc"}}, identity.Handshake{Token: "abc", Subprotocols: true}, ""},

		{"header and subprotocol differ", headers{"Authorization": {"Bearer abc"}, "Sec-WebSocket-Protocol": {"bearer.xyz"}}, identity.Handshake{Subprotocols: true}, identity.Ambiguous},
		{"two headers differ", headers{"Authorization": {"Bearer abc", "Bearer xyz"}}, identity.Handshake{}, identity.Ambiguous},
		{"names in two cases differ", headers{"Authorization": {"Bearer abc"}, "authorization": {"Bearer xyz"}}, identity.Handshake{}, identity.Ambiguous},
		{"two subprotocols differ", headers{"Sec-WebSocket-Protocol": {"bearer.abc, bearer.xyz"}}, identity.Handshake{Subprotocols: true}, identity.Ambiguous},

		{"no headers", nil, identity.Handshake{}, identity.Missing},
		{"an empty token", headers{"Authorization": {"Bearer "}}, identity.Handshake{}, identity.Missing},
		{"no scheme", headers{"Authorization": {"abc"}}, identity.Handshake{}, identity.Missing},
		{"an empty subprotocol token", headers{"Sec-WebSocket-Protocol": {"duet.v1, bearer., device.tab"}}, identity.Handshake{Device: "tab", Subprotocols: true}, identity.Missing},
		{"subprotocols are case-sensitive", headers{"Sec-WebSocket-Protocol": {"Bearer.abc"}}, identity.Handshake{Subprotocols: true}, identity.Missing},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := identity.FromHandshake(test.headers)
			if diff := cmp.Diff(test.want, got); diff != "" || identity.Why(err) != test.why {
				t.Errorf("FromHandshake: %v, want the category %q; -want +got:\n%s", err, test.why, diff)
			}
		})
	}
}

func FuzzFromHandshake(f *testing.F) {
	f.Add("Authorization", "Bearer abc", "Sec-WebSocket-Protocol", "duet.v1, bearer.abc, device.tab")
	f.Add("authorization", "bearer\tabc", "X-DUET-DEVICE", "laptop")
	f.Add("Sec-WebSocket-Protocol", "bearer.,,bearer.", "Sec-Websocket-Protocol", "device.")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		h, err := identity.FromHandshake(map[string][]string{name1: {value1}, name2: {value2}})
		if (h.Token == "") != (err != nil) {
			t.Fatalf("token %q with error %v", h.Token, err)
		}
		if why := identity.Why(err); err != nil && why != identity.Missing && why != identity.Ambiguous {
			t.Fatalf("category %q", why)
		}
		if h.Token != "" && !strings.Contains(value1, h.Token) && !strings.Contains(value2, h.Token) {
			t.Fatalf("token %q was not sent", h.Token)
		}
		if h.Device != "" {
			if _, err := chat.ParseDevice(string(h.Device)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
