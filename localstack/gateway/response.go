package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// response is a Lambda proxy response, as far as a WebSocket API shows it.
type response struct {
	status int
	// body is the JSON string as it is written, nil when there is none.
	body []byte
	// headers and multiHeaders are JSON objects as written, nil when there are none.
	headers, multiHeaders []byte
}

// parseResponse reads a proxy response. It is malformed when it has a key that
// API Gateway does not know, or no statusCode that is a whole number. A body
// marked as base64 is taken as text, since WebSocket APIs have no binary frames.
func parseResponse(payload []byte) (response, error) {
	var r response
	if !utf8.Valid(payload) || !json.Valid(payload) {
		return r, errors.New("not JSON in UTF-8")
	}
	var wrong error
	isObject := members(payload, func(key, value []byte) {
		if wrong == nil {
			wrong = r.set(key, value)
		}
	})
	switch {
	case !isObject:
		return r, errors.New("not a JSON object")
	case wrong != nil:
		return r, wrong
	case r.status == 0:
		return r, errors.New("no statusCode")
	}
	return r, nil
}

// set takes one member of a response.
func (r *response) set(key, value []byte) error {
	null := value[0] == 'n'
	switch string(key) {
	case "statusCode":
		status, err := strconv.Atoi(string(value))
		if err != nil {
			return errors.New("statusCode is not a whole number")
		}
		r.status = status
	case "body":
		if !null && !isString(value) {
			return errors.New("body is not a string")
		} else if !null {
			r.body = value
		}
	case "headers", "multiValueHeaders":
		if !null && value[0] != '{' {
			return fmt.Errorf("%s is not an object", key)
		} else if !null && string(key) == "headers" {
			r.headers = value
		} else if !null {
			r.multiHeaders = value
		}
	case "isBase64Encoded":
		if !null && value[0] != 't' && value[0] != 'f' {
			return errors.New("isBase64Encoded is not a boolean")
		}
	default:
		return fmt.Errorf("key %q, where only statusCode, headers, multiValueHeaders, body and isBase64Encoded are known", key)
	}
	return nil
}

// header returns the value of a response header, whatever the case of its name
// in the response; name must be canonical.
func (r response) header(name string) string {
	found := ""
	if r.headers != nil {
		members(r.headers, func(key, value []byte) {
			if isString(value) && http.CanonicalHeaderKey(string(key)) == name {
				found = string(appendText(nil, value))
			}
		})
	}
	if found == "" && r.multiHeaders != nil {
		members(r.multiHeaders, func(key, value []byte) {
			var values []string
			if http.CanonicalHeaderKey(string(key)) == name && json.Unmarshal(value, &values) == nil && len(values) > 0 {
				found = values[0]
			}
		})
	}
	return found
}
