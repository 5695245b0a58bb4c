//go:build linux

package e2e_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sallyport.dev/internal/netx"
)

// TestHTTPProxy fetches a file through an HTTP proxy, control and data connections
// both, and is told in words when the proxy does not allow that.
func TestHTTPProxy(t *testing.T) {
	addr, root := site(t)
	mustWrite(t, filepath.Join(root, "hello"), "hello\n")
	var wg sync.WaitGroup
	var opened sync.Map
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pw, _ := basic(r); user != "me" || pw != "proxied" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		there, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		opened.Store(r.Host, true)
		here, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil || buffered.Reader.Buffered() > 0 {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n") // the client may have gone
		wg.Add(2)
		for _, way := range [][2]net.Conn{{here, there}, {there, here}} {
			go func() {
				defer wg.Done()
				_, _ = io.Copy(way[0], way[1]) // its end is passed on
				_, _ = netx.CloseWrite(way[0]) // as above
			}()
		}
	}))
	defer wg.Wait()
	defer proxy.Close()
	dir := t.TempDir()
	pw, ftpPW := mustWrite(t, filepath.Join(dir, "pw"), "proxied\n"), mustWrite(t, filepath.Join(dir, "ftp"), "s3cret\n")
	url := strings.Replace(proxy.URL, "http://", "http://me@", 1)
	args := []string{"--proxy", url, "--proxy-password-file", pw, "--password-file", ftpPW}
	mustRun(t, "", "", append([]string{"check", "ftp://erp@" + addr + "/"}, args...)...)
	to := filepath.Join(dir, "hello")
	mustRun(t, "", "", append([]string{"get", "ftp://erp@" + addr + "/hello", to}, args...)...)
	if b, err := os.ReadFile(to); err != nil || string(b) != "hello\n" {
		t.Errorf("got %q, %v", b, err)
	}
	n := 0
	opened.Range(func(any, any) bool { n++; return true })
	if n < 3 {
		t.Errorf("the proxy opened %d connections, want one for the control connection and one for each transfer", n)
	}
	r := run(t, "", "", "check", "ftp://erp@"+addr+"/", "--proxy", proxy.URL, "--password-file", ftpPW)
	if r.code == 0 || !strings.Contains(r.stderr, "user and password") {
		t.Errorf("without the proxy's password: exit %d, %q", r.code, r.stderr)
	}
}

// basic reads the credentials for a proxy.
func basic(r *http.Request) (user, pw string, ok bool) {
	r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
	return r.BasicAuth()
}
