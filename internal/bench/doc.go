// Package bench holds the measurements that stand beside those of other servers and
// clients. There is no code in it but tests; docs/reference/benchmarks.md says what
// they do and has the figures.
package bench
