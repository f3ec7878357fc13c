package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// Endpoint says where a stack's parts are: its outputs.
type Endpoint struct {
	WebSocketURL     string // where clients connect
	UserPoolID       string
	UserPoolClientID string
	UserPoolEndpoint string // where the user pool's JSON API answers
	Issuer           string // who signs the tokens
}

// maxOutputs bounds what Discover reads.
const maxOutputs = 1 << 20

// Discover finds a stack's parts: from the base URL of a local cloud (http://localhost:4566), or
// from a file with the stack's outputs, either as one object of names and values or as
// CloudFormation's list of OutputKey and OutputValue (sam list stack-outputs --output json).
func Discover(ctx context.Context, where string) (Endpoint, error) {
	var raw []byte
	var err error
	if strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://") {
		raw, err = fetchOutputs(ctx, where)
	} else {
		raw, err = os.ReadFile(where)
	}
	if err != nil {
		return Endpoint{}, fmt.Errorf("find the stack: %w", err)
	}
	e, err := parseOutputs(raw)
	if err != nil {
		return Endpoint{}, fmt.Errorf("find the stack at %s: %w", where, err)
	}
	return e, nil
}

func fetchOutputs(ctx context.Context, base string) ([]byte, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("_local", "outputs").String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxOutputs))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: is this the local cloud?", req.URL, resp.Status)
	}
	return raw, err
}

func parseOutputs(raw []byte) (Endpoint, error) {
	values := map[string]any{}
	if err := json.Unmarshal(raw, &values); err != nil {
		var list []struct{ OutputKey, OutputValue string }
		if json.Unmarshal(raw, &list) != nil {
			return Endpoint{}, fmt.Errorf("neither an object of outputs nor a list of OutputKey and OutputValue: %w", err)
		}
		for _, o := range list {
			values[o.OutputKey] = o.OutputValue
		}
	}
	text := func(key string) string { s, _ := values[key].(string); return s }
	e := Endpoint{
		WebSocketURL:     text("WebSocketUrl"),
		UserPoolID:       text("UserPoolId"),
		UserPoolClientID: text("UserPoolClientId"),
		UserPoolEndpoint: text("UserPoolEndpoint"),
		Issuer:           text("Issuer"),
	}
	if e.WebSocketURL == "" {
		return Endpoint{}, errors.New("there is no output WebSocketUrl")
	}
	return e, nil
}
