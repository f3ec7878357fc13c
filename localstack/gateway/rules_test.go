package gateway

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// AWS reference 1.3.
func TestRouteKey(t *testing.T) {
	tests := []struct{ expression, body, want string }{
		{"$request.body.action", `{"action":"send"}`, "send"},
		{"${request.body.action}", ` { "x" : [1,{"action":"no"},"]"] , "action" : "send" } `, "send"},
		{"$request.body.action", `{"x":{"action":"no"}}`, ""},
		{"$request.body.action", `{"x":"\"action\":\"no\"","y":"\\"}`, ""},
		{"$request.body.action", `{"Action":"send"}`, ""},
		{"$request.body.action", `{"action":"a","action":"b"}`, "b"},
		{"$request.body.action", `{"\u0061ction":"s\u0065nd"}`, "send"},
		{"$request.body.action", `{"action":"\ud83d\ude00\ud800\n\/"}`, "\U0001F600\uFFFD\n/"},
		{"$request.body.action", `{"action":12.50}`, "12.50"},
		{"$request.body.action", `{"action":true}`, "true"},
		{"$request.body.action", `{"action":null}`, ""},
		{"$request.body.action", `{"action":["a",1]}`, `["a",1]`},
		{"$request.body.action", `{"action":{"a":1}}`, `{"a":1}`},
		{"$request.body.action", `{"action":"send"`, ""},
		{"$request.body.action", `{"action":"send"}x`, ""},
		{"$request.body.action", ``, ""},
		{"$request.body.action", `text`, ""},
		{"$request.body.action", `"action"`, ""},
		{"$request.body.action", `{}`, ""},
		{"$request.body.a.b", `{"a":{"b":"deep"},"b":"no"}`, "deep"},
		{"$request.body.a.b", `{"a":"b"}`, ""},
		{"${request.body.a}/${request.body.b}", `{"b":"y","a":"x"}`, "x/y"},
		{"${request.body.a}/${request.body.b}", `{"b":"y"}`, "/y"},
		{"v1-${request.body.a}", `{"a":2}`, "v1-2"},
	}
	for _, test := range tests {
		s, err := parseSelection(test.expression)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(s.appendKey(nil, []byte(test.body))); got != test.want {
			t.Errorf("%s of %s = %q, want %q", test.expression, test.body, got, test.want)
		}
	}
}

func TestSelectionExpressionsThatAreRefused(t *testing.T) {
	for _, expression := range []string{"", "send", "$request.body.", "$request.body.a[0]", "$request.header.x", "${request.body.a",
		"${request.header.a}", "$default", "a$b${request.body.a}", "$request.body.a..b"} {
		if _, err := parseSelection(expression); err == nil || !strings.Contains(err.Error(), expression) {
			t.Errorf("parseSelection(%q) = %v, want an error that names it", expression, err)
		}
	}
}

// AWS reference 1.3: nobody reaches a lifecycle route by asking for it.
func TestLifecycleRoutesCannotBeAskedFor(t *testing.T) {
	g := testGateway(t)
	for _, action := range []string{"$connect", "$disconnect", "$default", "missing"} {
		if key, route := g.route([]byte(`{"action":"` + action + `"}`)); key != "$default" || route.Function != "fallback" {
			t.Errorf("action %q goes to %q", action, key)
		}
	}
}

func TestIdentitySourcesThatAreRefused(t *testing.T) {
	for _, source := range []string{"", "$request.header.X", "route.request.header.", "route.request.body.x"} {
		if _, err := parseIdentitySources([]string{source}); err == nil {
			t.Errorf("identity source %q is accepted", source)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"", "", true}, {"", "a", false}, {"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "acb", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"*b*", "abc", true}, {"*ab*ab*", "abab", true}, {"*ab*ab", "abcab", true},
		{"arn:*:prod/*", "arn:aws:x/prod/$connect", false}, {"arn:*/prod/*", "arn:aws:x/prod/$connect", true},
		{"prod/*/*", "prod/$connect", false}, {"$connect", "$connect", true}, {"A", "a", false},
		{strings.Repeat("a*", 40) + "b", strings.Repeat("a", 200), false},
	} {
		if got := glob(test.pattern, test.s); got != test.want {
			t.Errorf("glob(%q, %q) = %v, want %v", test.pattern, test.s, got, test.want)
		}
	}
}

// IAM: an explicit deny wins over any allow, and nothing is allowed by default.
func TestPolicyEvaluation(t *testing.T) {
	const arn = "arn:aws:execute-api:r:a:api/prod/$connect"
	allow := `{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"` + arn + `"}`
	for name, test := range map[string]struct {
		statements string
		want, bad  bool
	}{
		"allow":                  {`[` + allow + `]`, true, false},
		"one statement, no list": {allow, true, false},
		"lists":                  {`[{"Effect":"Allow","Action":["a:b","execute-api:*"],"Resource":["x","arn:*"]}]`, true, false},
		"case of the action":     {`[{"Effect":"Allow","Action":"Execute-API:invoke","Resource":"*"}]`, true, false},
		"other action":           {`[{"Effect":"Allow","Action":"execute-api:ManageConnections","Resource":"*"}]`, false, false},
		"deny after allow":       {`[` + allow + `,{"Effect":"Deny","Action":"*","Resource":"*"}]`, false, false},
		"deny before allow":      {`[{"Effect":"Deny","Action":"*","Resource":"*"},` + allow + `]`, false, false},
		"deny of another":        {`[` + allow + `,{"Effect":"Deny","Action":"*","Resource":"*/send"}]`, true, false},
		"unknown effect":         {`[{"Effect":"allow","Action":"*","Resource":"*"}]`, false, true},
		"NotAction":              {`[{"Effect":"Allow","NotAction":"x","Resource":"*"}]`, false, true},
		"none":                   {`[]`, false, true},
	} {
		var p policy
		if err := json.Unmarshal([]byte(`{"Statement":`+test.statements+`}`), &p); err != nil {
			t.Fatal(err)
		}
		if got, err := p.allows(arn); got != test.want || (err != nil) != test.bad {
			t.Errorf("%s: allows = %v, %v", name, got, err)
		}
	}
}

func TestIDsLookLikeAWSs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := randomID()
		if !wellFormedID(id) || id[15] != '=' || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
	for _, id := range []string{"", "abc", "AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAA+=", "AAAAAAAAAAAAAAAAAAAA"} {
		if wellFormedID(id) {
			t.Errorf("%q is well formed", id)
		}
	}
}

func TestMeteredIn32KBSteps(t *testing.T) {
	for n, want := range map[int]int64{0: 1, 1: 1, 32 << 10: 1, 32<<10 + 1: 2, 128 << 10: 4} {
		if got := metered(n); got != want {
			t.Errorf("metered(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestTooMuchOrTooLittleToMakeAGateway(t *testing.T) {
	good := func() (API, Options) { return testAPI(), Options{Invoker: nobody{}} }
	for name, spoil := range map[string]func(*API, *Options){
		"invoker":    func(_ *API, o *Options) { o.Invoker = nil },
		"id":         func(a *API, _ *Options) { a.ID = "" },
		"stage":      func(a *API, _ *Options) { a.Stage = "a/b" },
		"expression": func(a *API, _ *Options) { a.RouteSelectionExpression = "action" },
		"function":   func(a *API, _ *Options) { a.Routes = map[string]Route{"x": {}} },
		"authorizer": func(a *API, _ *Options) { a.Authorizer = &Authorizer{} },
		"identity": func(a *API, _ *Options) {
			a.Authorizer = &Authorizer{Function: "f", IdentitySources: []string{"$request.header.X"}}
		},
	} {
		api, opts := good()
		spoil(&api, &opts)
		if _, err := New(api, opts); err == nil {
			t.Errorf("a wrong %s is accepted", name)
		}
	}
}

// The light reader of JSON agrees with encoding/json on every text.
func FuzzRouteSelection(f *testing.F) {
	for _, seed := range []string{`{"action":"send","x":[{"action":1}]}`, `{"action":{"a":"\"}"}}`, `{"a\u0063tion":"\ud83d\ude00"}`, `[]`, `{"action":"\ud800\u0041"}`, `{ "action" : null }`} {
		f.Add([]byte(seed))
	}
	s, err := parseSelection("$request.body.action")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !utf8.Valid(body) {
			return // refused before routes are selected
		}
		want := ""
		var doc map[string]json.RawMessage
		if json.Unmarshal(body, &doc) == nil {
			switch value := doc["action"]; {
			case len(value) == 0 || string(value) == "null":
			case value[0] == '"':
				_ = json.Unmarshal(value, &want)
			default:
				want = string(value)
			}
		}
		if got := string(s.appendKey(nil, body)); got != want {
			t.Errorf("key of %q = %q, want %q", body, got, want)
		}
	})
}
