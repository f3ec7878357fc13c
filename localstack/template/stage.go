package template

import (
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/duet-chat/duet/localstack/gateway"
)

// stageNames are those that AWS takes: see "Amazon API Gateway important notes".
var stageNames = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func (n *node) stageName(otherwise string) (string, error) {
	name, err := n.str("StageName", otherwise)
	if err == nil && !stageNames.MatchString(name) {
		err = n.at("StageName").fail("a StageName is made of letters, digits, - and _, at most 128, %q is not", name)
	}
	return name, err
}

// integrationTimeout is a member in milliseconds; zero if it is not there.
// Source: "Quotas for configuring and running a WebSocket API", Integration timeout.
func (n *node) integrationTimeout(name string) (time.Duration, error) {
	ms, err := n.integer(name, 0)
	if v := n.at(name); err == nil && v != nil && (ms < 50 || ms > 29_000) {
		err = v.fail("%s must be 50 to 29000 milliseconds, not %d", name, ms)
	}
	return time.Duration(ms) * time.Millisecond, err
}

// readThrottles reads a stage's route settings: those for all routes, and over them those of one.
// Sources: "Protect your WebSocket APIs in API Gateway"; AWS::ApiGatewayV2::Stage RouteSettings.
func readThrottles(stage *node, api *gateway.API) error {
	forAll, err := readThrottle(stage.at("DefaultRouteSettings"), "DefaultRouteSettings", gateway.Throttle{})
	if err != nil {
		return err
	}
	for key, route := range api.Routes {
		route.Throttle = forAll
		api.Routes[key] = route
	}
	settings := stage.at("RouteSettings")
	if settings == nil {
		return nil
	}
	if settings.members == nil {
		return settings.fail("RouteSettings must be a map of route keys, this is %s", settings.kind())
	}
	for _, key := range settings.keys {
		route, ok := api.Routes[key]
		if !ok {
			return settings.members[key].fail("RouteSettings are of a route %s, which is not there: it must be one of %s", key, listed(slices.Sorted(maps.Keys(api.Routes))))
		}
		if route.Throttle, err = readThrottle(settings.members[key], "RouteSettings", forAll); err != nil {
			return err
		}
		api.Routes[key] = route
	}
	return nil
}

// loggingLevels are those of a route's settings.
var loggingLevels = []string{"ERROR", "INFO", "OFF"}

// readThrottle reads one route's settings; what they do not say is as otherwise.
func readThrottle(n *node, what string, otherwise gateway.Throttle) (gateway.Throttle, error) {
	if n == nil {
		return otherwise, nil
	}
	// Logs and metrics mean something only when they are deployed.
	err := known(n, what, "ThrottlingRateLimit", "ThrottlingBurstLimit", "LoggingLevel", "DataTraceEnabled", "DetailedMetricsEnabled")
	if err != nil {
		return otherwise, err
	}
	if level, err := n.str("LoggingLevel", "OFF"); err != nil {
		return otherwise, err
	} else if !slices.Contains(loggingLevels, level) {
		return otherwise, n.at("LoggingLevel").fail("LoggingLevel must be one of %s, not %q", listed(loggingLevels), level)
	}
	for _, name := range []string{"DataTraceEnabled", "DetailedMetricsEnabled"} {
		if _, err := n.boolean(name, false); err != nil {
			return otherwise, err
		}
	}
	if v := n.at("ThrottlingRateLimit"); v != nil {
		rate, err := n.number("ThrottlingRateLimit", 0)
		if err == nil && rate < 0 {
			err = v.fail("ThrottlingRateLimit must be at least 0, not %g", rate)
		}
		if err != nil {
			return otherwise, err
		}
		otherwise.Rate = &rate
	}
	if v := n.at("ThrottlingBurstLimit"); v != nil {
		burst, err := n.integer("ThrottlingBurstLimit", 0)
		if err == nil && burst < 0 {
			err = v.fail("ThrottlingBurstLimit must be at least 0, not %d", burst)
		}
		if err != nil {
			return otherwise, err
		}
		otherwise.Burst = &burst
	}
	return otherwise, nil
}
