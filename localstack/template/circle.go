package template

import (
	"slices"
	"strings"
)

// need notes that a resource refers to another one.
func (r *resource) need(other string, at *node) {
	// SAM makes its own resources of the API's routes, which refer to the functions: the API does not.
	if r.kind == "AWS::Serverless::WebSocketApi" {
		return
	}
	if r.needs == nil {
		r.needs = map[string]*node{}
	}
	if r.needs[other] == nil {
		r.needs[other] = at
	}
}

// readDependsOn notes the resources after which one must be made.
func (r *reader) readDependsOn(res *resource, declared []string) error {
	d := res.node.members["DependsOn"]
	if d == nil {
		return nil
	}
	names := []*node{d}
	if d.list != nil {
		names = d.list
	}
	for _, n := range names {
		if n.scalar == nil {
			return n.fail("DependsOn takes names of resources, this is %s", n.kind())
		}
		// One whose condition does not hold is waited for by nobody.
		if r.scope.resources[*n.scalar] == nil && !slices.Contains(declared, *n.scalar) {
			return n.fail("DependsOn names %s, which is no resource of this template", *n.scalar)
		}
		res.need(*n.scalar, n)
	}
	return nil
}

// neededBy are the resources that are made before one is, itself included.
func (r *reader) neededBy(res *resource) map[string]bool {
	before := map[string]bool{}
	var visit func(*resource)
	visit = func(res *resource) {
		if res == nil || before[res.id] {
			return
		}
		before[res.id] = true
		for other := range res.needs {
			visit(r.scope.resources[other])
		}
	}
	visit(res)
	return before
}

// checkCircles refuses resources of which each needs another one first, as CloudFormation does.
func (r *reader) checkCircles() error {
	done := map[string]bool{}
	var path []string
	var visit func(id string) error
	visit = func(id string) error {
		res := r.scope.resources[id]
		if res == nil || done[id] {
			return nil
		}
		path = append(path, id)
		for _, other := range sortedKeys(res.needs) {
			if i := slices.Index(path, other); i >= 0 {
				return res.needs[other].fail("circular dependency: %s → %s; CloudFormation cannot make any of them first: give one a name of its own, and build what the other needs from that name with Sub",
					strings.Join(path[i:], " → "), other)
			}
			if err := visit(other); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		done[id] = true
		return nil
	}
	for _, res := range r.resources {
		if err := visit(res.id); err != nil {
			return err
		}
	}
	return nil
}
