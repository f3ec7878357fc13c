package iam

import (
	"slices"
	"strings"
)

// Rights are what a function may do, and what of it has been used.
type Rights struct {
	Role string `json:"role"`
	// Used and NeverUsed together are what its policies allow, in their order. What several statements
	// allow is used in each of them.
	Used      []Right `json:"used"`
	NeverUsed []Right `json:"never_used"`
	// Denied is what it asked for in vain, without the ids of connections; at most maxDenied of it.
	Denied []Right `json:"denied"`
}

// maxDenied bounds what is remembered of a function's denied requests.
const maxDenied = 100

// Rights are all functions' rights, by the functions' names.
func (g *Guard) Rights() map[string]Rights {
	all := map[string]Rights{}
	for name, f := range g.rules.Load().functions {
		rights := Rights{Role: f.role.ARN, Used: []Right{}, NeverUsed: []Right{}, Denied: []Right{}}
		for _, r := range f.rules {
			if r.Deny {
				continue
			}
			for i, right := range r.rights() {
				if r.used[i].Load() {
					rights.Used = append(rights.Used, right)
				} else {
					rights.NeverUsed = append(rights.NeverUsed, right)
				}
			}
		}
		g.mu.Lock()
		for right := range g.denied[name] {
			rights.Denied = append(rights.Denied, right)
		}
		g.mu.Unlock()
		slices.SortFunc(rights.Denied, func(a, b Right) int { return strings.Compare(a.Resource+a.Action, b.Resource+b.Action) })
		all[name] = rights
	}
	return all
}

// remember marks rights that were used before other policies came into force.
func (f *function) remember(used []Right) {
	for _, r := range f.rules {
		if r.Deny {
			continue
		}
		for i, right := range r.rights() {
			r.used[i].Store(slices.Contains(used, right))
		}
	}
}

func (g *Guard) noteDenied(function, action, resource string) {
	if i := strings.Index(resource, connections); i >= 0 {
		resource = resource[:i+len(connections)] + "*"
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.denied[function] == nil {
		g.denied[function] = map[Right]bool{}
	}
	if len(g.denied[function]) < maxDenied {
		g.denied[function][Right{action, resource}] = true
	}
}
