//go:build !linux

package testkit

import "testing"

const linuxOnly = "the servers under test are Debian's"

// Vsftpd starts vsftpd on Linux.
func Vsftpd(t testing.TB, _ VsftpdOptions) *FTPServer {
	t.Helper()
	Need(t, false, "Linux", linuxOnly)
	return nil
}

// Proftpd starts ProFTPD on Linux.
func Proftpd(t testing.TB, _ ProftpdOptions) *FTPServer {
	t.Helper()
	Need(t, false, "Linux", linuxOnly)
	return nil
}

// Pureftpd starts Pure-FTPd on Linux.
func Pureftpd(t testing.TB, _ PureftpdOptions) *FTPServer {
	t.Helper()
	Need(t, false, "Linux", linuxOnly)
	return nil
}

// Pyftpdlib starts pyftpdlib on Linux.
func Pyftpdlib(t testing.TB, _ PyftpdlibOptions) *FTPServer {
	t.Helper()
	Need(t, false, "Linux", linuxOnly)
	return nil
}

// Make builds files below the server's home as [MakeFS] does, owned by its user.
func (s *FTPServer) Make(t testing.TB, lines ...string) {
	t.Helper()
	MakeFS(t, s.Home, lines)
}

// Own gives everything below the server's home to its user.
func (s *FTPServer) Own(t testing.TB) { t.Helper() }

// PeakRSS reads a process's peak memory on Linux.
func PeakRSS(t testing.TB, _ int) int64 {
	t.Helper()
	Need(t, false, "Linux", "peak memory is read from /proc")
	return 0
}

// Tool finds a client program on Linux.
func Tool(t testing.TB, name string) (string, []string) {
	t.Helper()
	Need(t, false, name, linuxOnly)
	return "", nil
}
