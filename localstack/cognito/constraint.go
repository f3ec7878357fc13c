package cognito

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// constraints collects what breaks the API's model, and says so as AWS does: all at once, secrets
// without their values. Source: texts as in public captures; patterns as in the SDKs' model.
type constraints struct{ broken []string }

var (
	usernamePattern = regexp.MustCompile(`^[\p{L}\p{M}\p{S}\p{N}\p{P}]+$`)
	clientPattern   = regexp.MustCompile(`^[\w+]+$`)
)

// require refuses a field that was not sent.
func (c *constraints) require(field, value string) {
	if value == "" {
		c.broken = append(c.broken, fmt.Sprintf("Value at '%s' failed to satisfy constraint: Member must not be null", field))
	}
}

// match refuses a field that breaks a rule.
func (c *constraints) match(field string, ok bool, rule string) {
	if !ok {
		c.broken = append(c.broken, fmt.Sprintf("Value at '%s' failed to satisfy constraint: %s", field, rule))
	}
}

func (c *constraints) username(field, value string) {
	c.require(field, value)
	c.match(field, utf8.RuneCountInString(value) <= 128, "Member must have length less than or equal to 128")
	c.match(field, value == "" || usernamePattern.MatchString(value), `Member must satisfy regular expression pattern: [\p{L}\p{M}\p{S}\p{N}\p{P}]+`)
}

func (c *constraints) clientID(value string) {
	c.require("clientId", value)
	c.match("clientId", value == "" || clientPattern.MatchString(value), `Member must satisfy regular expression pattern: [\w+]+`)
}

func (c *constraints) missing(field string) error {
	c.require(field, "")
	return c.err()
}

func (c *constraints) err() error {
	switch n := len(c.broken); n {
	case 0:
		return nil
	case 1:
		return invalidParameter("1 validation error detected: %s", c.broken[0])
	default:
		return invalidParameter("%d validation errors detected: %s", n, strings.Join(c.broken, "; "))
	}
}
