package iam

import (
	"strconv"
	"strings"
	"time"
)

// contextKey is a key that conditions may name.
type contextKey struct {
	name string // as AWS writes it
	of   valueType
	many bool // a request may have several values
}

// contextKeys are the keys that the local cloud knows, in lower case: they are compared without regard
// to it.
// Sources: IAM user guide, "AWS global condition context keys"; Service authorization reference,
// "Condition keys for Amazon DynamoDB"; Lambda developer guide, "Using source function ARN".
var contextKeys = func() map[string]contextKey {
	keys := map[string]contextKey{}
	for _, k := range []contextKey{
		{name: "aws:CurrentTime", of: date}, {name: "aws:EpochTime", of: date}, {name: "aws:SecureTransport", of: boolean},
		{name: "aws:PrincipalArn", of: arn}, {name: "aws:PrincipalAccount"}, {name: "aws:PrincipalType"},
		{name: "aws:PrincipalIsAWSService", of: boolean}, {name: "aws:ViaAWSService", of: boolean},
		{name: "aws:RequestedRegion"}, {name: "aws:ResourceAccount"},
		{name: "aws:SourceArn", of: arn}, {name: "aws:SourceAccount"}, {name: "lambda:SourceFunctionArn", of: arn},
		{name: "dynamodb:LeadingKeys", many: true}, {name: "dynamodb:Attributes", many: true},
		{name: "dynamodb:Select"}, {name: "dynamodb:ReturnValues"}, {name: "dynamodb:ReturnConsumedCapacity"}, {name: "dynamodb:EnclosingOperation"},
	} {
		keys[strings.ToLower(k.name)] = k
	}
	return keys
}()

// context is what a request has for the keys that all requests have, and of a request about items for the others.
// It is made by the function, or by "", that is Lambda, with its role.
func (g *Guard) context(by string, f *function, items itemRequest) values {
	return func(key string) []string {
		switch key {
		case "aws:currenttime":
			return []string{g.Now().UTC().Format(time.RFC3339)}
		case "aws:epochtime":
			return []string{strconv.FormatInt(g.Now().Unix(), 10)}
		case "aws:securetransport": // on AWS; what a function does here over HTTP, it does there over TLS
			return []string{"true"}
		case "aws:principalarn":
			return []string{f.role.ARN}
		case "aws:principalaccount", "aws:resourceaccount":
			return []string{g.Account}
		case "aws:principaltype":
			return []string{"AssumedRole"}
		case "aws:principalisawsservice", "aws:viaawsservice":
			return []string{"false"}
		case "aws:requestedregion":
			return []string{g.Region}
		case "lambda:sourcefunctionarn":
			if by == "" {
				return nil
			}
			return []string{"arn:aws:lambda:" + g.Region + ":" + g.Account + ":function:" + by}
		}
		return items.value(key) // nothing for aws:SourceArn: no service asks in the name of a resource
	}
}
