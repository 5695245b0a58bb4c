package ftpserver_test

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/testkit"
)

// TestCurl has curl carry files of awkward names both ways, in every mode.
func TestCurl(t *testing.T) {
	curl, env := testkit.Tool(t, "curl")
	testkit.NoLeaks(t)
	modes := map[string][]string{
		"EPSV": nil, "PASV": {"--disable-epsv"}, "EPRT": {"--ftp-port", "-"}, "PORT": {"--ftp-port", "-", "--disable-eprt"},
	}
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			s := newSite(t, nil, nil)
			s.curlStory(curl, env, options)
		})
	}
	t.Run("IPv6", func(t *testing.T) {
		l, err := net.Listen("tcp", "[::1]:0")
		if err != nil {
			testkit.Need(t, false, "IPv6 on loopback", "switch it on")
		}
		for _, options := range [][]string{nil, {"--ftp-port", "-"}} {
			s := newSite(t, nil, nil)
			s.serve(l)
			s.curlStory(curl, env, options)
			if l, err = net.Listen("tcp", "[::1]:0"); err != nil {
				t.Fatal(err)
			}
		}
		_ = l.Close()
	})
}

// curlStory runs one story against s; curl gets options beside its own.
func (s *site) curlStory(curl string, env, options []string) {
	t := s.t
	t.Helper()
	run := func(args ...string) []byte {
		t.Helper()
		args = append(append([]string{"-sS", "--fail", "--max-time", "60", "--user", "anna:secret"}, options...), args...)
		var stderr bytes.Buffer
		cmd := exec.CommandContext(t.(*testing.T).Context(), curl, args...)
		cmd.Stderr, cmd.Env = &stderr, env
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("curl %s: %v: %s", strings.Join(args, " "), err, stderr.String())
		}
		return out
	}
	big := make([]byte, 8<<20+3)
	rnd := rand.NewChaCha8([32]byte{1})
	_, _ = rnd.Read(big)
	for name, content := range map[string][]byte{
		"empty": nil, "one": []byte("1"), "big": big, "with space.txt": []byte("x\r\ny\n"), "Grüße-数.xml": []byte("ü"), "-dash": []byte("d"), "#%?": []byte("h"),
	} {
		local := filepath.Join(t.TempDir(), "up")
		if err := os.WriteFile(local, content, 0o600); err != nil {
			t.Fatal(err)
		}
		url := "ftp://" + s.addr + "/in%20box/" + escape(name)
		run("--ftp-create-dirs", "-T", local, url)
		if got := s.read("in box/" + name); got != string(content) {
			t.Errorf("upload of %q: got %d bytes, want %d", name, len(got), len(content))
		}
		if got := run(url); !bytes.Equal(got, content) {
			t.Errorf("download of %q: got %d bytes, want %d", name, len(got), len(content))
		}
	}
	if got := run("--continue-at", "8388600", "ftp://"+s.addr+"/in%20box/big"); !bytes.Equal(got, big[8388600:]) {
		t.Errorf("resumed download: got %d bytes, want %d", len(got), len(big)-8388600)
	}
	for _, name := range []string{"empty", "with space.txt", "Grüße-数.xml", "-dash"} {
		if list := string(run("ftp://" + s.addr + "/in%20box/")); !strings.Contains(list, " "+name+"\n") && !strings.Contains(list, " "+name+"\r\n") {
			t.Errorf("LIST: got %q, want a line with %q", list, name)
		}
	}
	if got := string(run("--list-only", "ftp://"+s.addr+"/")); strings.TrimSpace(got) != "in box" {
		t.Errorf("NLST: got %q, want %q", got, "in box")
	}
	if got := s.names("in box"); strings.Contains(got, ".part") {
		t.Errorf("parts left behind: %q", got)
	}
}

// escape writes a name into a URL.
func escape(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' {
			b.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
