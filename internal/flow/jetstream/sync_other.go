//go:build !unix

package jetstream

// syncDir does nothing: the system keeps names safe by itself.
func syncDir(string) error { return nil }
