// Package e2e holds the tests of the whole way: the shipped program between real
// FTP servers and clients, on loopback and behind a real firewall. There is no
// code in it but tests.
package e2e
