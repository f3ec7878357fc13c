package wire_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/duet-chat/duet/internal/chat"
	"github.com/duet-chat/duet/internal/wire"
)

// asyncAPI is docs/asyncapi.yaml, as far as it must agree with this package.
type asyncAPI struct {
	Operations map[string]struct {
		Action string
	}
	Components struct {
		Messages map[string]struct{ Name string }
		Schemas  map[string]struct {
			Required   []string
			Properties map[string]any
			Enum       []string
		}
	}
	compiler *jsonschema.Compiler
}

func readAsyncAPI(t testing.TB) *asyncAPI {
	t.Helper()
	text, err := os.ReadFile("../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	a := &asyncAPI{compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal(asJSON, a); err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.compiler.AddResource("asyncapi.json", document); err != nil {
		t.Fatal(err)
	}
	return a
}

// validate holds a frame to the schema of its action or type.
func (a *asyncAPI) validate(t testing.TB, where string, frame []byte) {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(frame))
	fields, ok := v.(map[string]any)
	if err != nil || !ok {
		t.Fatalf("%s: %v: %s", where, err, frame)
	}
	name, _ := fields["type"].(string)
	if action, ok := fields["action"].(string); ok {
		name = action + "Request"
	} else if _, push := fields["user"]; name == "presence" && push {
		name = "presencePush"
	}
	schema, err := a.compiler.Compile("asyncapi.json#/components/schemas/" + name)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%s: %s\nis not what docs/asyncapi.yaml says: %v", where, frame, err)
	}
	for field := range fields {
		if _, known := a.Components.Schemas[name].Properties[field]; !known {
			t.Errorf("%s: docs/asyncapi.yaml does not know the field %s of %s", where, field, name)
		}
	}
}

// constants are the values of this package's constants of a type.
func constants(t testing.TB, kind string) (values []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "wire.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == kind {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	if len(values) == 0 {
		t.Fatalf("wire.go has no constants of the type %s", kind)
	}
	slices.Sort(values)
	return values
}

// The description has each action and each type of frame, and no others.
func TestAsyncAPIHasEveryAction(t *testing.T) {
	a := readAsyncAPI(t)
	var actions, types []string
	for name, op := range a.Operations {
		if op.Action == "receive" {
			actions = append(actions, name)
		}
	}
	for name, m := range a.Components.Messages {
		if !strings.HasSuffix(name, "Request") {
			types = append(types, m.Name)
		}
	}
	slices.Sort(actions)
	slices.Sort(types)
	if diff := cmp.Diff(constants(t, "Action"), actions); diff != "" {
		t.Errorf("actions (-code +description):\n%s", diff)
	}
	if diff := cmp.Diff(constants(t, "Type"), slices.Compact(types)); diff != "" {
		t.Errorf("types of frames (-code +description):\n%s", diff)
	}
	var codes []string
	for _, c := range allCodes {
		codes = append(codes, string(c))
	}
	if diff := cmp.Diff(codes, a.Components.Schemas["code"].Enum); diff != "" {
		t.Errorf("codes (-code +description):\n%s", diff)
	}
}

// The fields of the server's frames are those of the description, required where they are always there.
func TestAsyncAPIHasEveryField(t *testing.T) {
	a := readAsyncAPI(t)
	of := map[string]reflect.Type{
		"entry": reflect.TypeFor[wire.Message](), "summary": reflect.TypeFor[wire.Summary](),
		"userPresence": reflect.TypeFor[wire.UserPresence](), "accountConnection": reflect.TypeFor[wire.AccountConnection](),
		"presencePush": reflect.TypeFor[wire.PresencePush](),
	}
	for name, frame := range frameTypes {
		of[string(name)] = frame
	}
	for name, frame := range of {
		t.Run(name, func(t *testing.T) {
			var fields, always []string
			for _, f := range reflect.VisibleFields(frame) {
				tag, ok := f.Tag.Lookup("json")
				field, options, _ := strings.Cut(tag, ",")
				if !ok || name == "entry" && field == "type" {
					continue // the type stands on pushes alone
				}
				fields = append(fields, field)
				if options == "" || name == "message" && field == "type" {
					always = append(always, field)
				}
			}
			schema := a.Components.Schemas[name]
			slices.Sort(fields)
			slices.Sort(always)
			slices.Sort(schema.Required)
			if diff := cmp.Diff(fields, slices.Sorted(maps.Keys(schema.Properties))); diff != "" {
				t.Errorf("fields (-code +description):\n%s", diff)
			}
			if diff := cmp.Diff(always, schema.Required); diff != "" {
				t.Errorf("required (-code +description):\n%s", diff)
			}
		})
	}
}

// Golden frames, and the examples of docs/protocol.md, are as the description says.
func TestAsyncAPIDescribesExamples(t *testing.T) {
	a := readAsyncAPI(t)
	for name, frame := range golden(t, "*") {
		a.validate(t, name, frame)
	}
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for _, block := range strings.Split(string(text), "```duet\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, line := range strings.Split(strings.ReplaceAll(block, "\n ", " "), "\n") {
			at := strings.Index(line, "{")
			if at < 0 {
				continue
			}
			examples++
			var frame struct{ Ref, Action string }
			if err := json.Unmarshal([]byte(line[at:]), &frame); err != nil {
				t.Fatalf("docs/protocol.md: %v: %s", err, line)
			}
			if frame.Action != "" && strings.Contains(block, `"ref":"`+frame.Ref+`","code":"bad_request"`) {
				continue // an example of what is refused
			}
			a.validate(t, "docs/protocol.md", []byte(line[at:]))
		}
	}
	if examples < 40 {
		t.Errorf("%d examples in docs/protocol.md: were its blocks renamed?", examples)
	}
}

// allCodes are the codes of errors, in the order of the description.
var allCodes = []chat.Code{
	chat.BadRequest, chat.TooLarge, chat.UnknownAction, chat.UnknownUser, chat.NotFound, chat.Forbidden, chat.Blocked,
	chat.OutOfOrder, chat.RateLimited, chat.SessionExpired, chat.Conflict, chat.Unavailable,
}
