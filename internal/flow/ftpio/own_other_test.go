//go:build !unix

package ftpio_test

import "testing"

// own has nothing to do where the servers do not run.
func own(*testing.T, string, string) {}
