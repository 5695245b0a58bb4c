package config

import (
	"fmt"
	"strings"
)

// Homes gives each account of a site a folder.
type Homes struct {
	Folder    string `yaml:"folder" need:"yes" help:"virtual folder of an account, such as /users/${user}; ${user} is its name"`
	Anonymous string `yaml:"anonymous" help:"virtual folder of the anonymous, such as /public"`
	Isolate   *bool  `yaml:"isolate" help:"false: accounts start in their folder and may leave it; else it is all they see"`
	Create    bool   `yaml:"create" help:"make a folder that is missing when its account logs in; else the login is refused"`
}

// userHole stands for the account's name in [Homes.Folder].
const userHole = "${user}"

// Isolated reports whether accounts see nothing but their folder.
func (h *Homes) Isolated() bool { return h.Isolate == nil || *h.Isolate }

// Home is the folder of the account called user, "" for the anonymous. It is empty
// if that account can have none: its name would lead elsewhere, or there is no
// folder for the anonymous.
func (h *Homes) Home(user string) string {
	if user == "" {
		return h.Anonymous
	}
	if !folderName(user) && strings.Contains(h.Folder, userHole) {
		return ""
	}
	return strings.ReplaceAll(h.Folder, userHole, user)
}

// folderName reports whether the name of an account can name its folder.
func folderName(user string) bool {
	return user != "." && user != ".." && !strings.ContainsAny(user, "/\\:") && !strings.HasSuffix(user, ".")
}

func (c *checker) homes(at string, s Site) {
	h := s.Homes
	if h == nil {
		return
	}
	sample := strings.ReplaceAll(h.Folder, userHole, "user")
	switch {
	case strings.Contains(sample, "${"):
		c.fault(at+".folder", "write ${user} for the account's name; there are no other holes", "%s has a hole that is not known here", quote(h.Folder))
	default:
		c.virtualPath(at+".folder", sample)
	}
	if sample == "/" {
		c.fault(at+".folder", "write a folder such as /users/${user}, or remove homes", "the site's top is the folder of all")
	}
	c.virtualPath(at+".anonymous", h.Anonymous)
	if h.Anonymous == "" && s.lets("?") {
		c.fault(at, "write anonymous: /public", "the anonymous may log in and have no folder")
	}
	for i, a := range c.doc.Accounts {
		if a.Name != "" && h.Home(a.Name) == "" {
			c.fault(fmt.Sprintf("accounts[%d].name", i), "choose a name without / \\ : that is not . or .. and has no dot at its end", "site %s makes folders of names, and %s can name none", quote(s.Name), quote(a.Name))
		}
	}
}

// lets reports whether subject, as it is written in rules, may do anything.
func (s Site) lets(subject string) bool {
	if len(s.Authorization) == 0 {
		return subject != "?" || s.Anonymous
	}
	for _, r := range s.Authorization {
		for _, a := range r.Allow {
			if a == subject {
				return true
			}
		}
	}
	return false
}
