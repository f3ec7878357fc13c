package template

// readMappings checks the section that FindInMap reads.
func (r *reader) readMappings(root *node) error {
	m := root.members["Mappings"]
	if m == nil {
		return nil
	}
	if m.members == nil {
		return m.fail("Mappings must be a map, this is %s", m.kind())
	}
	for _, name := range m.keys {
		first := m.members[name]
		if first.members == nil {
			return first.fail("the mapping %s must be a map of maps, this is %s", name, first.kind())
		}
		for _, key := range first.keys {
			if first.members[key].members == nil {
				return first.members[key].fail("the mapping %s must be a map of maps, %s is %s", name, key, first.members[key].kind())
			}
		}
	}
	r.scope.mappings = m
	return nil
}

// findInMap finds a value in the Mappings by the map's name and two keys.
// Source: CloudFormation template reference, "Fn::FindInMap".
func (s *scope) findInMap(n, argument *node) (*node, error) {
	if len(argument.list) != 3 || argument.intrinsic != "" {
		return nil, n.fail("FindInMap takes a map's name and two keys")
	}
	at := s.mappings
	if at == nil {
		return nil, n.fail("FindInMap: the template has no Mappings")
	}
	for _, part := range argument.list {
		key, err := s.text(part)
		if err != nil {
			return nil, err
		}
		next := at.members[key]
		if next == nil {
			return nil, n.fail("FindInMap: there is no %q, there are %s", key, listed(at.keys))
		}
		at = next
	}
	if at.scalar == nil && at.list == nil {
		return nil, n.fail("FindInMap: the value must be a string or a list, this is %s", at.kind())
	}
	return s.literal(n, at), nil
}
