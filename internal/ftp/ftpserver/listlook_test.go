package ftpserver_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/testkit"
)

func looking(l ftpserver.Listing) func(*ftpserver.Server) {
	return func(s *ftpserver.Server) { s.Listing = l }
}

// TestListStyles: LIST in each style and zone is read back to the same entries, SYST
// names the style, and MLSD stays as it is.
func TestListStyles(t *testing.T) {
	zone := time.FixedZone("far", 5*60*60+30*60)
	when := time.Date(1999, 12, 31, 20, 15, 0, 0, time.UTC) // the year 2000 over there
	for name, tc := range map[string]struct {
		look   ftpserver.Listing
		system string
		line   string // of a
		parse  func(string) (ftp.Entry, error)
	}{
		"unix":       {ftpserver.Listing{}, "UNIX Type: L8", "-rw-r--r--    1 ftp      ftp                 3 Dec 31 20:15 a", func(l string) (ftp.Entry, error) { return ftp.ParseUnixLine(l, time.Now(), time.UTC) }},
		"unix-local": {ftpserver.Listing{Zone: zone}, "UNIX Type: L8", "-rw-r--r--    1 ftp      ftp                 3 Jan  1 01:45 a", func(l string) (ftp.Entry, error) { return ftp.ParseUnixLine(l, time.Now(), zone) }},
		"dos":        {ftpserver.Listing{DOS: true}, "Windows_NT", "12-31-99  08:15PM                    3 a", func(l string) (ftp.Entry, error) { return ftp.ParseDOSLine(l, time.UTC) }},
		"dos-local":  {ftpserver.Listing{DOS: true, Zone: zone}, "Windows_NT", "01-01-00  01:45AM                    3 a", func(l string) (ftp.Entry, error) { return ftp.ParseDOSLine(l, zone) }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, looking(tc.look), func(t *testing.T, s *site) {
				s.write("a", "abc")
				s.write("sub dir/b", "")
				if err := os.Symlink("nowhere", filepath.Join(s.dir, "gone")); err != nil {
					t.Fatal(err)
				}
				for _, n := range []string{"a", "sub dir"} {
					if err := os.Chtimes(filepath.Join(s.dir, n), when, when); err != nil {
						t.Fatal(err)
					}
				}
				<-time.After(24 * time.Hour) // the bubble's clock begins where the zone is ahead of us
				c := s.login()
				if got := c.want("SYST", 215).Text(); got != tc.system {
					t.Errorf("SYST: got %q", got)
				}
				got := map[string]ftp.Entry{}
				list := lines(c.get("LIST"))
				for _, l := range list {
					e, err := tc.parse(l)
					if err != nil {
						t.Errorf("%q: %v", l, err)
					}
					got[e.Name] = e
				}
				if !slices.Contains(list, tc.line) {
					t.Errorf("got %q, want %q among them", list, tc.line)
				}
				a, d := got["a"], got["sub dir"]
				if len(got) != 3 || a.Type != ftp.File || a.Size != 3 || !a.Time.Equal(when) || d.Type != ftp.Dir || !d.Time.Equal(when) || got["gone"].Type != ftp.Link {
					t.Errorf("got %+v", got)
				}
				if got := c.get("MLSD"); !strings.Contains(got, "modify=19991231201500;") {
					t.Errorf("MLSD: got %q", got)
				}
				if got := c.want("MDTM a", 213).Text(); got != "19991231201500" {
					t.Errorf("MDTM: got %q", got)
				}
				if got := c.want("STAT a", 213).Text(); !strings.Contains(got, tc.line) {
					t.Errorf("STAT: got %q", got)
				}
			})
		})
	}
}

// TestHiddenDots: a site may hide dot files from those who do not ask for them.
func TestHiddenDots(t *testing.T) {
	bubble(t, looking(ftpserver.Listing{HideDots: true}), func(t *testing.T, s *site) {
		for _, name := range []string{".dot", "plain", ".d/in"} {
			s.write(name, "x")
		}
		c := s.login()
		for command, want := range map[string]string{
			"NLST": "plain", "NLST -l": "plain", "NLST -a": ".d .dot plain", "NLST -la /": "/.d /.dot /plain", "NLST -A": ".d .dot plain",
			"NLST *": "plain", "NLST .*": ".d .dot", "NLST -a *": ".d .dot plain", "NLST .d": ".d/in", "NLST .dot": ".dot",
		} {
			if got := strings.Join(lines(c.get(command)), " "); got != want {
				t.Errorf("%s: got %q, want %q", command, got, want)
			}
		}
		for command, want := range map[string]int{"LIST": 1, "LIST -la": 3, "MLSD": 3} {
			if got := lines(c.get(command)); len(got) != want {
				t.Errorf("%s: got %q, want %d lines", command, got, want)
			}
		}
		if got := c.want("STAT /", 212).Text(); strings.Contains(got, ".dot") || !strings.Contains(got, "plain") {
			t.Errorf("STAT: got %q", got)
		}
	})
}

// TestDOSClients has lftp mirror by a DOS listing, and curl show it.
func TestDOSClients(t *testing.T) {
	lftp, env := testkit.Tool(t, "lftp")
	curl, curlEnv := testkit.Tool(t, "curl")
	testkit.NoLeaks(t)
	s := newSite(t, nil, looking(ftpserver.Listing{DOS: true}))
	when := time.Date(2021, 3, 4, 13, 5, 0, 0, time.UTC)
	for _, name := range []string{"a b.txt", "sub dir/deep/c", "noon"} {
		s.write(name, name)
		if err := os.Chtimes(filepath.Join(s.dir, name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), lftp, "--norc", "-c",
		"set cmd:fail-exit yes; set net:max-retries 1; set net:timeout 20; set ftp:use-mlsd no; set ftp:sync-mode no; open -u anna,secret ftp://"+s.addr+"; mirror / down; ls")
	cmd.Env, cmd.Dir = append(env, "HOME="+home, "LANG=C.UTF-8", "LFTP_HOME="+home, "TZ=UTC"), home
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("lftp: %v: %s", err, out)
	}
	if !strings.Contains(string(out), "<DIR>          sub dir") {
		t.Errorf("lftp shows %s", out)
	}
	for _, name := range []string{"a b.txt", "sub dir/deep/c", "noon"} {
		file := filepath.Join(home, "down", name)
		b, err := os.ReadFile(file)
		if err != nil || string(b) != name {
			t.Errorf("%s: got %q, %v", name, b, err)
			continue
		}
		if info, err := os.Stat(file); err != nil || !info.ModTime().Equal(when) {
			t.Errorf("%s: got %s, %v, want %s", name, info.ModTime(), err, when)
		}
	}
	cmd = exec.CommandContext(t.Context(), curl, "-sS", "--user", "anna:secret", "ftp://"+s.addr+"/")
	cmd.Env = curlEnv
	out, err = cmd.CombinedOutput()
	for _, want := range []string{fmt.Sprintf("03-04-21  01:05PM %20d a b.txt", 7), "<DIR>          sub dir"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("curl: got %q, %v, want %q in it", out, err, want)
		}
	}
}
