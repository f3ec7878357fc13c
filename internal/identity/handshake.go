package identity

import (
	"errors"
	"slices"
	"strings"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/wire"
)

// Handshake is what a client says of itself when it connects (protocol, "Connecting").
type Handshake struct {
	Token string
	// Device is "" if none was sent, or none that is valid.
	Device chat.Device
	// Subprotocols says that the client offers subprotocols: it drops the connection unless the
	// server selects one.
	Subprotocols bool
}

// FromHandshake reads a handshake's headers, whose names may be in any case. The device header
// beats the subprotocol. The same token may stand in both places; two different ones, wherever
// they stand, are refused as Ambiguous, for nobody could say which of them counts. No token is
// refused as Missing. The other fields are set even then.
func FromHandshake(headers map[string][]string) (Handshake, error) {
	var h Handshake
	var tokens, headerDevices, offeredDevices []string
	for name, values := range headers {
		for _, value := range values {
			switch {
			case strings.EqualFold(name, "Authorization"):
				// Other schemes are somebody else's, such as a proxy's.
				scheme, token, _ := strings.Cut(strings.TrimSpace(value), " ")
				if strings.EqualFold(scheme, "Bearer") {
					tokens = add(tokens, strings.TrimSpace(token))
				}
			case strings.EqualFold(name, wire.DeviceHeader):
				headerDevices = add(headerDevices, strings.TrimSpace(value))
			case strings.EqualFold(name, "Sec-WebSocket-Protocol"):
				for offer := range strings.SplitSeq(value, ",") {
					offer = strings.TrimSpace(offer)
					h.Subprotocols = h.Subprotocols || offer != ""
					if token, ok := strings.CutPrefix(offer, wire.BearerSubprotocol); ok {
						tokens = add(tokens, token)
					} else if device, ok := strings.CutPrefix(offer, wire.DeviceSubprotocol); ok {
						offeredDevices = add(offeredDevices, device)
					}
				}
			}
		}
	}
	if len(headerDevices) == 0 {
		headerDevices = offeredDevices
	}
	if len(headerDevices) == 1 {
		// One that is not valid stays "": the $connect route tells the client.
		h.Device, _ = chat.ParseDevice(headerDevices[0])
	}
	switch len(tokens) {
	case 0:
		return h, &Error{Category: Missing}
	case 1:
		h.Token = tokens[0]
		return h, nil
	}
	return h, &Error{Category: Ambiguous, Detail: errors.New("the handshake holds different tokens")}
}

// add appends a value that is neither empty nor in the list.
func add(list []string, value string) []string {
	if value == "" || slices.Contains(list, value) {
		return list
	}
	return append(list, value)
}
