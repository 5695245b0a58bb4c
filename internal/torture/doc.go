// Package torture holds the tests that carry files while the program is killed and
// the power is cut, and count at the sink what has become of them. There is no code
// in it but tests; docs/reference/torture.md says what they do and has the figures.
package torture
