package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sallyport.dev/internal/account/phc"
	"sallyport.dev/internal/secret"
)

// Account is somebody who may log in.
type Account struct {
	Name     string   `yaml:"name" need:"yes" help:"login name, such as svc-erp"`
	Password Password `yaml:"password" need:"yes" help:"env:NAME, file:PATH, or {hash: \"...\"} of argon2id, bcrypt or sha512-crypt"`
	Groups   []string `yaml:"groups" help:"groups that it belongs to; rules name them as @group"`
}

// Password is how an account's password is known: by reference to the password
// itself or by its hash. Exactly one of the two is set.
type Password struct {
	Ref  secret.Ref
	Hash string // as package phc reads it
}

// IsZero reports whether nothing is set.
func (p Password) IsZero() bool { return p == Password{} }

// hashed is the written form of a password that is known by its hash.
type hashed struct {
	Hash hash `yaml:"hash" need:"yes" help:"argon2id as of sallyport account hash, bcrypt as of htpasswd -B, or sha512-crypt as of openssl passwd -6"`
}

// hash is a password hash. Its text is never shown.
type hash string

// UnmarshalText checks the format of a hash.
func (h *hash) UnmarshalText(b []byte) error {
	if _, err := phc.Parse(string(b)); err != nil {
		return err
	}
	*h = hash(b)
	return nil
}

func (c *checker) accounts() {
	first := map[string]int{}
	for i, a := range c.doc.Accounts {
		at := fmt.Sprintf("accounts[%d]", i)
		if a.Name == "" {
			continue // missing or of the wrong type: said already
		}
		switch {
		case !loginName(a.Name):
			c.fault(at+".name", "write a login name of up to 64 characters, no spaces, not beginning with @, * or ?", "%s can be no login name", quote(a.Name))
		case strings.EqualFold(a.Name, "anonymous") || strings.EqualFold(a.Name, "ftp"):
			c.fault(at+".name", "for anonymous logins write `anonymous: true` at the site, or a rule that allows \"?\"", "%s is how anonymous clients log in", quote(a.Name))
		}
		c.once(first, a.Name, at+".name", "account", i)
		for j, g := range a.Groups {
			p := fmt.Sprintf("%s.groups[%d]", at, j)
			switch {
			case g == "":
			case strings.HasPrefix(g, "@"):
				c.fault(p, "write "+strings.TrimLeft(g, "@")+" here and @"+strings.TrimLeft(g, "@")+" in rules", "a group is named without @ here")
			case !loginName(g):
				c.fault(p, "write up to 64 characters, no spaces", "%s can be no name of a group", quote(g))
			case slices.Contains(a.Groups[:j], g):
				c.fault(p, "keep one of the two", "group %s is written twice", quote(g))
			}
		}
	}
}

// loginName reports whether s can name an account or a group: what a client can
// send, and what no rule takes for something else.
func loginName(s string) bool {
	if s == "" || len(s) > 64 || strings.ContainsAny(s[:1], "@*?") {
		return false
	}
	for _, r := range s {
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// subjects checks a list that names accounts, groups and everybody. With question
// it may name the anonymous too.
func (c *checker) subjects(path string, list []string, question bool) {
	var names, groups []string
	for _, a := range c.doc.Accounts {
		names = append(names, a.Name)
		groups = append(groups, a.Groups...)
	}
	for i, s := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		group, isGroup := strings.CutPrefix(s, "@")
		switch {
		case s == "", s == "?" && question:
		case s == "?":
			c.fault(at, "without `allow`, on loopback, everybody on this machine may use it", "the anonymous cannot be named here")
		case s == "*":
			if len(names) == 0 {
				c.fault(at, "write accounts: [{name: ..., password: env:...}]", "there are no accounts in this document")
			}
		case isGroup && !slices.Contains(groups, group):
			c.fault(at, known("groups", group, groups), "no account is in group %s", quote(group))
		case !isGroup && !slices.Contains(names, s):
			c.fault(at, known("accounts", s, names), "there is no account %s", quote(s))
		}
		if s != "" && slices.Contains(list[:i], s) {
			c.fault(at, "keep one of the two", "%s is written twice", quote(s))
		}
	}
}

// known hints at the word that was meant, or at what there is.
func known(what, word string, words []string) string {
	if near := nearest(word, words); near != "" {
		return "did you mean " + near + "?"
	}
	if len(words) == 0 {
		return "this document has no " + what
	}
	words = slices.Compact(slices.Sorted(slices.Values(words)))
	if len(words) > 8 {
		words = append(words[:8:8], "others")
	}
	return what + " of this document: " + list(words, "and")
}
