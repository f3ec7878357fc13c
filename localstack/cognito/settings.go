package cognito

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"time"
)

// Pool is what the local cloud knows of an AWS::Cognito::UserPool. Zero values mean what a
// property that is left out means in CloudFormation.
type Pool struct {
	// ID is REGION_NAME, the name of letters and digits: see PoolID.
	ID   string
	Name string
	// Resource is what the pool is called in the template.
	Resource string
	// PasswordPolicy is Policies.PasswordPolicy; nil is DefaultPasswordPolicy.
	PasswordPolicy *PasswordPolicy
	// CaseInsensitive is the opposite of UsernameConfiguration.CaseSensitive.
	CaseInsensitive bool
	// AdminOnly is AdminCreateUserConfig.AllowAdminCreateUserOnly: nobody signs up.
	AdminOnly bool
	// PreSignUp and PostConfirmation are LambdaConfig's, as names that the invoker knows; "" is none.
	PreSignUp, PostConfirmation string
	Clients                     []Client
}

// Client is what the local cloud knows of an AWS::Cognito::UserPoolClient.
type Client struct {
	ID   string
	Name string
	// Resource is what the client is called in the template.
	Resource string
	// ExplicitAuthFlows as in the template; empty is Cognito's default, which has no passwords.
	ExplicitAuthFlows []string
	// PreventUserExistenceErrors is true for ENABLED, false for LEGACY.
	PreventUserExistenceErrors bool
	// AccessTokenValidity and IDTokenValidity default to an hour, RefreshTokenValidity to 30 days.
	AccessTokenValidity, IDTokenValidity, RefreshTokenValidity time.Duration
}

// PasswordPolicy is a pool's Policies.PasswordPolicy.
type PasswordPolicy struct {
	MinimumLength                                                      int // characters, 6 to 99
	RequireUppercase, RequireLowercase, RequireNumbers, RequireSymbols bool
}

// DefaultPasswordPolicy is that of a pool that names none.
// Source: Cognito developer guide, "Adding user pool password requirements".
var DefaultPasswordPolicy = PasswordPolicy{
	MinimumLength: 8, RequireUppercase: true, RequireLowercase: true, RequireNumbers: true, RequireSymbols: true,
}

// Authentication flows of a client. Source: Cognito API reference, UserPoolClientType.
const (
	AllowPassword = "ALLOW_USER_PASSWORD_AUTH"
	AllowRefresh  = "ALLOW_REFRESH_TOKEN_AUTH"
)

var poolIDPattern = regexp.MustCompile(`^[\w-]+_[0-9a-zA-Z]+$`)

func (p Pool) check() error {
	if len(p.ID) > 55 || !poolIDPattern.MatchString(p.ID) {
		return fmt.Errorf("the id must be of the form us-east-1_AbCdEf123, at most 55 characters")
	}
	if w := p.PasswordPolicy; w != nil && (w.MinimumLength < 6 || w.MinimumLength > 99) {
		return fmt.Errorf("MinimumLength of the password policy is %d; it must be 6 to 99", w.MinimumLength)
	}
	for _, c := range p.Clients {
		if c.ID == "" {
			return errors.New("a client has no id")
		}
		if c.AccessTokenValidity < 0 || c.IDTokenValidity < 0 || c.RefreshTokenValidity < 0 {
			return fmt.Errorf("client %s: the validity of tokens must not be negative", c.ID)
		}
	}
	return nil
}

func (c Client) orDefaults() Client {
	if len(c.ExplicitAuthFlows) == 0 {
		c.ExplicitAuthFlows = []string{"ALLOW_USER_SRP_AUTH", "ALLOW_CUSTOM_AUTH", AllowRefresh}
	}
	for validity, byDefault := range map[*time.Duration]time.Duration{
		&c.AccessTokenValidity:  time.Hour,
		&c.IDTokenValidity:      time.Hour,
		&c.RefreshTokenValidity: 30 * 24 * time.Hour,
	} {
		if *validity == 0 {
			*validity = byDefault
		}
	}
	return c
}

func (c Client) allows(flow string) bool { return slices.Contains(c.ExplicitAuthFlows, flow) }

// PoolID makes a pool id of Cognito's form that is always the same for the same name, so that
// tokens outlive a restart.
func PoolID(region, name string) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte("user pool " + name))
	id := []byte(region + "_")
	for _, b := range sum[:9] {
		id = append(id, alphabet[int(b)%len(alphabet)])
	}
	return string(id)
}

// ClientID makes a client id of Cognito's form, 26 of a-z 0-9, always the same for the same name.
func ClientID(name string) string {
	sum := sha256.Sum256([]byte("user pool client " + name))
	// 32 bytes have at least 26 digits to the base 36 in all but 1 of 2^121 cases: pad for form.
	return fmt.Sprintf("%026s", new(big.Int).SetBytes(sum[:]).Text(36))[:26]
}
