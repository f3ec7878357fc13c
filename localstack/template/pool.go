package template

import (
	"slices"
	"time"

	"github.com/duet-chat/duet/localstack/cognito"
)

func (r *reader) readPool(res *resource, p *node) error {
	pool := cognito.Pool{ID: res.ref, Resource: res.id}
	var err error
	if pool.Name, err = p.str("UserPoolName", res.id); err != nil {
		return err
	}
	if mfa, err := p.str("MfaConfiguration", "OFF"); err != nil {
		return err
	} else if mfa != "OFF" {
		return p.at("MfaConfiguration").fail("MfaConfiguration is %s: the local cloud's user pools know no second factor, set OFF", mfa)
	}
	if u := p.at("UsernameConfiguration"); u != nil {
		sensitive, err := u.boolean("CaseSensitive", true)
		if err != nil {
			return err
		}
		pool.CaseInsensitive = !sensitive
	}
	if a := p.at("AdminCreateUserConfig"); a != nil {
		if pool.AdminOnly, err = a.boolean("AllowAdminCreateUserOnly", false); err != nil {
			return err
		}
	}
	if n := p.at("Policies").at("PasswordPolicy"); n != nil {
		policy := cognito.PasswordPolicy{}
		if err := n.into(&policy, "MinimumLength", "RequireUppercase", "RequireLowercase", "RequireNumbers", "RequireSymbols"); err != nil {
			return err
		}
		pool.PasswordPolicy = &policy
	}
	if l := p.at("LambdaConfig"); l != nil {
		for name, to := range map[string]*string{"PreSignUp": &pool.PreSignUp, "PostConfirmation": &pool.PostConfirmation} {
			if l.at(name) == nil {
				continue
			}
			if *to, err = r.functionOf(l, name); err != nil {
				return err
			}
		}
	}
	// Its clients may have been read before it.
	for i := range r.stack.Pools {
		if r.stack.Pools[i].ID == pool.ID {
			pool.Clients = r.stack.Pools[i].Clients
			r.stack.Pools[i] = pool
			return nil
		}
	}
	r.stack.Pools = append(r.stack.Pools, pool)
	return nil
}

func (r *reader) readPoolClient(res *resource, p *node) error {
	poolID, err := p.need("UserPoolId")
	if err != nil {
		return err
	}
	if !r.isPool(poolID) {
		return p.at("UserPoolId").fail("UserPoolId is %q, which is no user pool of this template", poolID)
	}
	c := cognito.Client{ID: res.ref, Resource: res.id}
	if c.Name, err = p.str("ClientName", res.id); err != nil {
		return err
	}
	if secret, err := p.boolean("GenerateSecret", false); err != nil || secret {
		return p.at("GenerateSecret").fail("the local cloud knows public clients only: set GenerateSecret to false")
	}
	if c.ExplicitAuthFlows, err = p.strings("ExplicitAuthFlows"); err != nil {
		return err
	}
	existence, err := p.str("PreventUserExistenceErrors", "LEGACY")
	if err != nil {
		return err
	}
	c.PreventUserExistenceErrors = existence == "ENABLED"
	// Default units: Cognito's. Source: Cognito API reference, TokenValidityUnitsType.
	for name, t := range map[string]struct {
		to   *time.Duration
		unit string
	}{
		"AccessToken": {&c.AccessTokenValidity, "hours"}, "IdToken": {&c.IDTokenValidity, "hours"}, "RefreshToken": {&c.RefreshTokenValidity, "days"},
	} {
		n, err := p.integer(name+"Validity", 0)
		if err != nil {
			return err
		}
		unit := t.unit
		if units := p.at("TokenValidityUnits"); units != nil {
			if unit, err = units.str(name, unit); err != nil {
				return err
			}
		}
		scale, ok := map[string]time.Duration{"seconds": time.Second, "minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour}[unit]
		if !ok {
			return p.at("TokenValidityUnits").fail("%s must be seconds, minutes, hours or days, not %q", name, unit)
		}
		*t.to = time.Duration(n) * scale
	}
	for i := range r.stack.Pools {
		if r.stack.Pools[i].ID == poolID {
			r.stack.Pools[i].Clients = append(r.stack.Pools[i].Clients, c)
			return nil
		}
	}
	r.stack.Pools = append(r.stack.Pools, cognito.Pool{ID: poolID, Clients: []cognito.Client{c}})
	return nil
}

func (r *reader) isPool(id string) bool {
	return slices.ContainsFunc(r.resources, func(res *resource) bool { return res.kind == "AWS::Cognito::UserPool" && res.ref == id })
}
