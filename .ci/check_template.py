"""Checks what the SAM transform makes of the template: what SAM gets wrong silently (an open
API, a route that replaced another, an answer that is thrown away) fails here, not on AWS."""

import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from cfnlint.decode.cfn_yaml import load  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402


class NoManagedPolicies:
    """The template names no managed policy; the translator asks for the map all the same."""

    def load(self):
        return {}


def main(path):
    template = json.loads(json.dumps(load(path)))
    template.setdefault("Parameters", {})
    parameters = {name: p.get("Default", "") for name, p in template["Parameters"].items()}
    sam = {
        name: r["Properties"] for name, r in template["Resources"].items()
        if r["Type"] == "AWS::Serverless::WebSocketApi"
    }
    # Where code lies is settled by sam build; the transform wants an S3 address.
    for r in template["Resources"].values():
        if r["Type"] == "AWS::Serverless::Function":
            r["Properties"]["CodeUri"] = "s3://bucket/key"
    resources = transform(template, parameters, NoManagedPolicies())["Resources"]

    def of(kind):
        return {name: r["Properties"] for name, r in resources.items() if r["Type"] == kind}

    failures = []

    def check(ok, message):
        if not ok:
            failures.append(message)

    routes = of("AWS::ApiGatewayV2::Route")
    by_key = {r["RouteKey"]: (name, r) for name, r in routes.items()}
    for api, properties in sam.items():
        check(len(routes) == len(properties["Routes"]),
              f"{api} has {len(properties['Routes'])} routes, SAM made {len(routes)}: two of them have one logical id")
        _, connect = by_key.get("$connect", (None, {}))
        check(connect.get("AuthorizationType") == "CUSTOM" and connect.get("AuthorizerId"),
              "$connect has no authorizer: anybody can connect")
        replies = {json.dumps(r["RouteId"]) for r in of("AWS::ApiGatewayV2::RouteResponse").values()}
        for key, route in properties["Routes"].items():
            name, _ = by_key[key]
            if "RouteResponseSelectionExpression" in route:
                check(json.dumps({"Ref": name}) in replies, f"the route {key} has no RouteResponse: its answers are thrown away")
    check(len(of("AWS::ApiGatewayV2::Authorizer")) == 1, "there is not exactly one authorizer")
    for name, role in of("AWS::IAM::Role").items():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                if "Fn::If" in statement:
                    statement = statement["Fn::If"][1]  # the other branch is nothing
                actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                check(not any("*" in a for a in actions), f"{name} may do {actions}: name each action")
                check(statement["Resource"] != "*" or actions == ["dynamodb:ListStreams"], f"{name} may do {actions} on everything")
    for failure in failures:
        print(f"{path}: {failure}", file=sys.stderr)
    if failures:
        return 1
    print(f"{path}: {len(routes)} routes, {len(of('AWS::Lambda::Function'))} functions, the authorizer and all route responses are there")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
