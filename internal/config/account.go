package config

import (
	"sallyport.dev/internal/secret"
)

// Account is somebody who may log in.
type Account struct {
	Name     string   `yaml:"name" need:"yes" help:"login name, such as svc-erp"`
	Password Password `yaml:"password" need:"yes" help:"env:NAME, file:PATH, or {hash: \"$argon2id$...\"}"`
	Groups   []string `yaml:"groups" help:"groups that it belongs to; rules name them as @group"`
}

// Password is how an account's password is known: by reference to the password
// itself or by its hash. Exactly one of the two is set.
type Password struct {
	Ref  secret.Ref
	Hash string // argon2id in the PHC string format
}

// IsZero reports whether nothing is set.
func (p Password) IsZero() bool { return p == Password{} }

// hashed is the written form of a password that is known by its hash.
type hashed struct {
	Hash hash `yaml:"hash" need:"yes" help:"argon2id in the PHC string format"`
}

// hash is a password hash. Its text is never shown.
type hash string

// UnmarshalText checks the format of a hash.
func (h *hash) UnmarshalText(b []byte) error {
	*h = hash(b)
	return nil
}
