package gateway

import (
	"fmt"

	"golang.org/x/time/rate"
)

// route is a Route that is deployed.
type route struct {
	Route
	bucket *rate.Limiter // full at each deployment; nil if only the account's holds
}

// deployment is the part of an API that can be deployed anew while connections are open.
type deployment struct {
	routes     map[string]*route
	selection  selection
	authorizer *Authorizer
	sources    []identitySource
}

// newDeployment says what is wrong with an API's description, or makes a deployment of it.
func (g *Gateway) newDeployment(api API) (*deployment, error) {
	d := &deployment{routes: make(map[string]*route, len(api.Routes)), authorizer: api.Authorizer}
	var err error
	if d.selection, err = parseSelection(api.RouteSelectionExpression); err != nil {
		return nil, fmt.Errorf("api %q: %w", api.Name, err)
	}
	for key, r := range api.Routes {
		if r.Function == "" {
			return nil, fmt.Errorf("api %q: route %q has no function", api.Name, key)
		}
		if r.Timeout <= 0 || r.Timeout > g.limits.IntegrationTimeout {
			r.Timeout = g.limits.IntegrationTimeout
		}
		d.routes[key] = &route{Route: r, bucket: g.limits.bucket(r.Throttle)}
	}
	if a := api.Authorizer; a != nil {
		if a.Function == "" {
			return nil, fmt.Errorf("api %q: the authorizer has no function", api.Name)
		}
		if d.sources, err = parseIdentitySources(a.IdentitySources); err != nil {
			return nil, fmt.Errorf("api %q: %w", api.Name, err)
		}
	}
	return d, nil
}

// Deploy replaces routes, route selection and authorizer. Connections stay open, as on AWS: their next
// message takes the new route, and what runs ends as it began. Id, name and stage must be the same.
func (g *Gateway) Deploy(api API) error {
	if api.ID != g.api.ID || api.Name != g.api.Name || api.Stage != g.api.Stage {
		return fmt.Errorf("api %q: another id, name or stage is another API: %s %s is not %s %s", g.api.Name, api.ID, api.Stage, g.api.ID, g.api.Stage)
	}
	d, err := g.newDeployment(api)
	if err != nil {
		return err
	}
	g.deployed.Store(d)
	return nil
}

// lifecycle finds the route of $connect or $disconnect; nil if there is none.
func (g *Gateway) lifecycle(key string) *route { return g.deployed.Load().routes[key] }
