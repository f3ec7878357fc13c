package iam

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/duet-chat/duet/localstack/caller"
)

// Connections puts the guard before an API's @connections.
// Source: API Gateway developer guide, "Control access to a WebSocket API with IAM authorization".
func (g *Guard) Connections(api string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		function := caller.Function(r.Context())
		if function == "" || !strings.Contains(r.URL.Path, "/@connections/") {
			next.ServeHTTP(w, r)
			return
		}
		stage, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		resource := "arn:aws:execute-api:" + g.Region + ":" + g.Account + ":" + api + "/" + stage + "/" + r.Method + "/" + rest
		if err := g.Check(function, "execute-api:ManageConnections", resource); err != nil {
			refuse(w, http.StatusForbidden, "AccessDeniedException", err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// maxBody bounds a request that is read to find out its resource. The largest is SQS's batch.
const maxBody = 2 << 20

// SQS puts the guard before the queues.
// Source: Service authorization reference, "Actions, resources, and condition keys for Amazon SQS".
func (g *Guard) SQS(next http.Handler) http.Handler {
	return g.json("sqs", next, func(body []byte) string {
		named := gjson.GetManyBytes(body, "QueueUrl", "QueueName")
		name := named[1].String()
		if url := named[0].String(); url != "" {
			name = url[strings.LastIndexByte(url, '/')+1:]
		}
		if name == "" {
			return "*"
		}
		return "arn:aws:sqs:" + g.Region + ":" + g.Account + ":" + name
	})
}

// Events puts the guard before EventBridge: each bus that is named must be allowed.
// Source: Service authorization reference, "Actions, resources, and condition keys for Amazon EventBridge".
func (g *Guard) Events(next http.Handler) http.Handler {
	return g.jsonOf("events", next, func(body []byte) (buses []string) {
		for _, name := range gjson.GetBytes(body, "Entries.#.EventBusName").Array() {
			bus := "arn:aws:events:" + g.Region + ":" + g.Account + ":event-bus/" + name.String()
			if strings.HasPrefix(name.String(), "arn:") {
				bus = name.String()
			}
			buses = append(buses, bus)
		}
		if len(buses) < int(gjson.GetBytes(body, "Entries.#").Int()) { // who names none means the default one
			buses = append(buses, "arn:aws:events:"+g.Region+":"+g.Account+":event-bus/default")
		}
		return buses
	})
}

// Cognito puts the guard before the user pools. What anybody may ask, who has a client id or a token,
// needs no permission. Source: Cognito developer guide, "User pools API and token authorization".
func (g *Guard) Cognito(next http.Handler) http.Handler {
	guarded := g.json("cognito-idp", next, func(body []byte) string {
		if id := gjson.GetBytes(body, "UserPoolId").String(); id != "" {
			return "arn:aws:cognito-idp:" + g.Region + ":" + g.Account + ":userpool/" + id
		}
		return "*"
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		for _, prefix := range []string{"Admin", "List", "Describe", "Create", "Delete", "Update"} {
			if strings.HasPrefix(operation, prefix) && operation != "DeleteUser" && operation != "UpdateUserAttributes" {
				guarded.ServeHTTP(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// json guards a JSON API, whose operation is in X-Amz-Target.
func (g *Guard) json(service string, next http.Handler, resource func(body []byte) string) http.Handler {
	return g.jsonOf(service, next, func(body []byte) []string { return []string{resource(body)} })
}

// jsonOf is json for a request that may concern several resources, all of which must be allowed.
func (g *Guard) jsonOf(service string, next http.Handler, resources func(body []byte) []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		function := caller.Function(r.Context())
		if function == "" {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			refuse(w, http.StatusBadRequest, "RequestEntityTooLarge", err)
			return
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		operation = strings.TrimSuffix(operation, "Batch") // needs what each of its entries does
		for _, resource := range resources(body) {
			if err := g.Check(function, service+":"+operation, resource); err != nil {
				refuse(w, http.StatusBadRequest, "AccessDeniedException", err)
				return
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// Lambda puts the guard before the functions' own API: POST …/functions/NAME/invocations.
func (g *Guard) Lambda(path string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		function := caller.Function(r.Context())
		name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, path), "/"), "/")
		if i := strings.LastIndex(name, ":function:"); i >= 0 {
			name = name[i+len(":function:"):]
		}
		action := "lambda:InvokeFunction"
		if r.Method != http.MethodPost {
			action = "lambda:GetFunction"
		}
		if err := g.Check(function, action, "arn:aws:lambda:"+g.Region+":"+g.Account+":function:"+name); err != nil {
			refuse(w, http.StatusForbidden, "AccessDeniedException", err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, status int, name string, err error) {
	w.Header().Set("X-Amzn-Errortype", name)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": name, "Message": err.Error()}) // the caller is gone if this fails
}
