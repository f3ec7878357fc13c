package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// selection is a parsed route selection expression: its parts' values, joined,
// are the route key. Source: "Create routes for WebSocket APIs in API Gateway",
// section on route selection expressions.
type selection []selectionPart

// selectionPart is literal text, or the path of a value in the body.
type selectionPart struct {
	text string
	path []string
}

// CheckRouteSelection says what is wrong with a route selection expression.
func CheckRouteSelection(expression string) error {
	_, err := parseSelection(expression)
	return err
}

const bodyVariable = "request.body."

// parseSelection reads $request.body.path, or text with ${request.body.path} in it.
func parseSelection(expression string) (selection, error) {
	refuse := func(why string) error {
		return fmt.Errorf("route selection expression %q: %s; it must be $request.body.path or have ${request.body.path} in it", expression, why)
	}
	if path, ok := strings.CutPrefix(expression, "$"+bodyVariable); ok {
		keys, err := parsePath(path)
		if err != nil {
			return nil, refuse(err.Error())
		}
		return selection{{path: keys}}, nil
	}
	var parts selection
	variables := 0
	for rest := expression; rest != ""; {
		text, after, found := strings.Cut(rest, "${")
		if strings.Contains(text, "$") {
			return nil, refuse("a $ outside of a variable")
		}
		if text != "" {
			parts = append(parts, selectionPart{text: text})
		}
		if !found {
			break
		}
		variable, tail, closed := strings.Cut(after, "}")
		path, ok := strings.CutPrefix(variable, bodyVariable)
		if !closed || !ok {
			return nil, refuse(fmt.Sprintf("variable %q", "${"+variable))
		}
		keys, err := parsePath(path)
		if err != nil {
			return nil, refuse(err.Error())
		}
		parts = append(parts, selectionPart{path: keys})
		variables++
		rest = tail
	}
	if variables == 0 {
		return nil, refuse("no variable")
	}
	return parts, nil
}

func parsePath(path string) ([]string, error) {
	keys := strings.Split(path, ".")
	for _, key := range keys {
		if key == "" || strings.ContainsAny(key, "[]*'\" ${}") {
			return nil, fmt.Errorf("path %q is not made of keys and dots", path)
		}
	}
	return keys, nil
}

// appendKey appends the route key that a message asks for. It is empty when the
// body is not JSON or has nothing at the paths.
func (s selection) appendKey(dst, body []byte) []byte {
	if !json.Valid(body) {
		return dst
	}
	for _, part := range s {
		if part.path == nil {
			dst = append(dst, part.text...)
		} else if value := find(body, part.path); value != nil {
			dst = appendText(dst, value)
		}
	}
	return dst
}

// find returns the text of the value at a path, nil when there is none. Of
// members with the same key the last counts, as for most JSON readers.
func find(doc []byte, path []string) []byte {
	for _, name := range path {
		var found []byte
		members(doc, func(key, value []byte) {
			if keyIs(key, name) {
				found = value
			}
		})
		if found == nil {
			return nil
		}
		doc = found
	}
	return doc
}

// keyIs compares a key as it is written, perhaps with escapes, with a name.
func keyIs(key []byte, name string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key) == name
	}
	var quoted []byte
	quoted = append(append(append(quoted, '"'), key...), '"')
	return string(appendUnquoted(nil, quoted)) == name
}

// appendText appends what a value is as a string: strings without their quotes,
// null as nothing, anything else as it is written.
func appendText(dst, value []byte) []byte {
	switch {
	case isString(value):
		return appendUnquoted(dst, value)
	case value[0] == 'n':
		return dst
	}
	return append(dst, value...)
}

// route finds the route of a message and its key. Nobody reaches $connect,
// $disconnect or $default by asking for them: AWS does not say what it does, and
// lifecycle handlers must not see messages.
func (g *Gateway) route(body []byte) (string, *route) {
	var buf [64]byte
	d := g.deployed.Load()
	asked := d.selection.appendKey(buf[:0], body)
	if len(asked) > 0 && asked[0] != '$' {
		if r := d.routes[string(asked)]; r != nil {
			return string(asked), r
		}
	}
	return defaultRoute, d.routes[defaultRoute]
}
