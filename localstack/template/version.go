package template

import "strings"

// Versions and aliases of functions are names here, which all stand for the newest code.

const (
	versionKind = "AWS::Lambda::Version"
	aliasKind   = "AWS::Lambda::Alias"
)

// nameAlias names the version and the alias that SAM makes for a function with AutoPublishAlias.
// Source: SAM developer guide, "Generated AWS CloudFormation resources", and "Referencing a Lambda
// function's version or alias".
func (r *reader) nameAlias(function *resource) error {
	n := function.properties.at("AutoPublishAlias")
	if n == nil {
		n = r.globals.at("AutoPublishAlias")
	}
	if n == nil {
		return nil
	}
	v, err := r.scope.of(function, n)
	if err != nil {
		return err
	}
	if v.scalar == nil {
		return v.fail("AutoPublishAlias must be a string, this is %s", v.kind())
	}
	alias := *v.scalar
	if alias == "" || alias == noValue {
		return nil
	}
	arn := function.attributes["Arn"]
	function.parts = map[string]string{"Alias": arn + ":" + alias, "Version": arn + ":1"}
	id := function.id + "Alias" + alias
	r.scope.resources[id] = &resource{id: id, kind: aliasKind, ref: function.parts["Alias"], node: function.node, named: isNamed}
	return nil
}

// nameVersion names a version or an alias. Source: CloudFormation template reference, Return values.
func (r *reader) nameVersion(res *resource) error {
	function, err := r.ownName(res, "FunctionName", "")
	if err != nil {
		return err
	}
	function = function[strings.LastIndexByte(function, ':')+1:]
	name, err := r.ownName(res, "Name", "1")
	if err != nil {
		return err
	}
	res.ref = "arn:aws:lambda:" + r.Region + ":" + r.Account + ":function:" + function + ":" + name
	if res.kind == aliasKind {
		res.attributes["AliasArn"] = res.ref
		return nil
	}
	res.attributes["FunctionArn"], res.attributes["Version"] = res.ref, name
	return nil
}

// readVersion checks that the function is there.
func (r *reader) readVersion(_ *resource, p *node) error {
	if v := p.at("RoutingConfig"); v != nil {
		return v.fail("the local cloud runs the newest version only, and shares nothing out among several: take RoutingConfig out")
	}
	_, err := r.functionOf(p, "FunctionName")
	return err
}
