package cognito

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
)

// symbols that satisfy RequireSymbols; a space counts too, but Cognito's API takes none.
// Source: Cognito developer guide, "Adding user pool password requirements".
const symbols = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+-"

// check tells the first rule that a password breaks.
func (w PasswordPolicy) check(password string) *apiError {
	has := func(ok func(rune) bool) bool { return strings.ContainsFunc(password, ok) }
	within := func(low, high rune) func(rune) bool {
		return func(r rune) bool { return low <= r && r <= high }
	}
	broken := ""
	switch {
	case utf8.RuneCountInString(password) < w.MinimumLength:
		broken = "Password not long enough"
	case w.RequireLowercase && !has(within('a', 'z')):
		broken = "Password must have lowercase characters"
	case w.RequireUppercase && !has(within('A', 'Z')):
		broken = "Password must have uppercase characters"
	case w.RequireNumbers && !has(within('0', '9')):
		broken = "Password must have numeric characters"
	case w.RequireSymbols && !strings.ContainsAny(password, symbols):
		broken = "Password must have symbol characters"
	default:
		return nil
	}
	return refuse("InvalidPasswordException", "Password did not conform with policy: %s", broken)
}

// checkPassword applies the API's own limits, which stand before any policy.
func checkPassword(c *constraints, field, password string) {
	c.require(field, password)
	c.match(field, password == "" || utf8.RuneCountInString(password) <= 256, "Member must have length less than or equal to 256")
	c.match(field, password == "" || passwordPattern.MatchString(password), "Member must satisfy regular expression pattern: "+passwordPattern.String())
}

// passwordPattern allows spaces within a password, but not around it. Source: Cognito API
// reference, SignUp, Password.
var passwordPattern = regexp.MustCompile(`^[\S]+.*[\S]+$`)

// hash takes bcrypt's time. bcrypt reads 72 bytes and refuses more, so it is given a digest,
// in text because it stops at a zero byte.
func (p *Pools) hash(password string) ([]byte, error) {
	return bcrypt.GenerateFromPassword(digest(password), p.cost)
}

// matches tells whether a password is a user's. For a user who does not exist it takes as long:
// hashing costs what comparing does.
func (p *Pools) matches(u *user, password string) bool {
	if u == nil {
		_, _ = p.hash(password) // only its time is wanted
		return false
	}
	return bcrypt.CompareHashAndPassword(u.Password, digest(password)) == nil
}

func digest(password string) []byte {
	sum := sha256.Sum256([]byte(password))
	return base64.RawStdEncoding.AppendEncode(nil, sum[:])
}
