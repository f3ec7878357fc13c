package template

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// known refuses members that nobody knows.
func known(n *node, what string, names ...string) error {
	if n.members == nil {
		return n.fail("%s must be a map, this is %s", what, n.kind())
	}
	for _, key := range n.keys {
		if !slices.Contains(names, key) {
			slices.Sort(names)
			return n.members[key].fail("the local cloud does not know %s in %s: it knows %s", key, what, strings.Join(names, ", "))
		}
	}
	return nil
}

// schema is the members that a map may have, or the maps in a list. What stands in a member without
// a schema of its own is for its reader to check, or means something only when it is deployed.
type schema map[string]schema

// names is a schema of members alone.
func names(all ...string) schema {
	s := schema{}
	for _, name := range all {
		s[name] = nil
	}
	return s
}

// check refuses what the schema does not have; path names the node.
func (s schema) check(n *node, path string) error {
	switch {
	case s == nil:
		return nil
	case n.list != nil:
		for _, e := range n.list {
			if err := s.check(e, path); err != nil {
				return err
			}
		}
		return nil
	}
	all := slices.Sorted(maps.Keys(s))
	if n.members == nil {
		return n.fail("%s is made of %s, this is %s", path, strings.Join(all, ", "), n.kind())
	}
	if err := known(n, path, all...); err != nil {
		return err
	}
	for _, key := range n.keys {
		if err := s[key].check(n.members[key], path+"."+key); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) at(name string) *node {
	if n == nil || n.members == nil {
		return nil
	}
	return n.members[name]
}

func (n *node) str(name, otherwise string) (string, error) {
	v := n.at(name)
	if v == nil {
		return otherwise, nil
	}
	if v.scalar == nil {
		return "", v.fail("%s must be a string, this is %s", name, v.kind())
	}
	return *v.scalar, nil
}

func (n *node) need(name string) (string, error) {
	v, err := n.str(name, "")
	if err == nil && v == "" {
		err = n.fail("%s is missing", name)
	}
	return v, err
}

func (n *node) integer(name string, otherwise int) (int, error) {
	v, err := n.str(name, strconv.Itoa(otherwise))
	if err != nil {
		return 0, err
	}
	i, err := strconv.Atoi(v)
	if err != nil {
		return 0, n.at(name).fail("%s must be an integer, not %q", name, v)
	}
	return i, nil
}

func (n *node) number(name string, otherwise float64) (float64, error) {
	v, err := n.str(name, strconv.FormatFloat(otherwise, 'g', -1, 64))
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, n.at(name).fail("%s must be a number, not %q", name, v)
	}
	return f, nil
}

func (n *node) boolean(name string, otherwise bool) (bool, error) {
	v, err := n.str(name, strconv.FormatBool(otherwise))
	if err != nil {
		return false, err
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, n.at(name).fail("%s must be true or false, not %q", name, v)
	}
	return b, nil
}

func (n *node) strings(name string) ([]string, error) {
	v := n.at(name)
	if v == nil {
		return nil, nil
	}
	if v.list == nil {
		return nil, v.fail("%s must be a list, this is %s", name, v.kind())
	}
	var all []string
	for _, e := range v.list {
		if e.scalar == nil {
			return nil, e.fail("%s must be a list of strings, this is %s", name, e.kind())
		}
		all = append(all, *e.scalar)
	}
	return all, nil
}

// maps is a list of maps, as most lists in a template are.
func (n *node) maps(name string) ([]*node, error) {
	v := n.at(name)
	if v == nil {
		return nil, nil
	}
	if v.list == nil {
		return nil, v.fail("%s must be a list, this is %s", name, v.kind())
	}
	for _, e := range v.list {
		if e.members == nil {
			return nil, e.fail("%s must be a list of maps, this is %s", name, e.kind())
		}
	}
	return v.list, nil
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// into fills a struct from the named members, which are spelled as its fields. The schema has been
// checked before.
func (n *node) into(target any, names ...string) error {
	part := &node{members: map[string]*node{}}
	for _, name := range names {
		if v := n.at(name); v != nil {
			part.keys = append(part.keys, name)
			part.members[name] = v
		}
	}
	j, err := json.Marshal(part.plain())
	if err != nil {
		return n.fail("%v", err)
	}
	if err := json.Unmarshal(j, target); err != nil {
		return n.fail("%v", err)
	}
	return nil
}

// plain is a node as values of encoding/json: scalars that look like numbers or booleans become such.
func (n *node) plain() any {
	switch {
	case n.members != nil:
		m := map[string]any{}
		for _, key := range n.keys {
			m[key] = n.members[key].plain()
		}
		return m
	case n.list != nil:
		l := make([]any, len(n.list))
		for i, e := range n.list {
			l[i] = e.plain()
		}
		return l
	}
	if i, err := strconv.ParseInt(*n.scalar, 10, 64); err == nil {
		return i
	}
	if b, err := strconv.ParseBool(*n.scalar); err == nil {
		return b
	}
	return *n.scalar
}
