package testkit

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Pureftpd starts Debian's Pure-FTPd with a virtual user. It asks for no session
// resumption and knows no implicit TLS. With the option -0 alone it keeps uploads under
// a hidden name until they end. Extra are its options ("-C": "1000").
func Pureftpd(t testing.TB, opts PureftpdOptions) *FTPServer {
	t.Helper()
	b := newBench(t, "pureftpd", opts)
	db := filepath.Join(b.dir, "users.pdb")
	b.virtualUser(t, db)
	args := map[string]string{
		"-S": fmt.Sprintf("%s,%d", b.Host, b.Port),
		"-p": fmt.Sprintf("%d:%d", b.Passive.Min, b.Passive.Max),
		"-l": "puredb:" + db,
		"-g": filepath.Join(b.dir, "pid"),
		"-E": "", "-A": "", "-H": "", "-4": "", "-z": "", "-D": "",
		"-u": "1", "-c": "500", "-C": "500", "-L": "1000000:20", "-U": "022:022", "-f": "none",
	}
	if tls := opts.TLS; tls != nil {
		if tls.Implicit || tls.MaxVersion != "" {
			t.Fatal("pure-ftpd has neither implicit TLS nor a choice of TLS versions")
		}
		args["-2"] = b.Certs.PEMFile
		args["-Y"] = map[bool]string{true: "1", false: "3"}[tls.Optional] // 3: data, too
	}
	maps.Copy(args, opts.Extra)
	var line []string
	for _, k := range slices.Sorted(maps.Keys(args)) {
		line = append(line, k)
		if args[k] != "" {
			line = append(line, args[k])
		}
	}
	return b.start(t, "usr/sbin/pure-ftpd", line...)
}

// virtualUser makes Pure-FTPd's user database with the test account's name,
// password hash and numbers, at home in the served folder.
func (b *bench) virtualUser(t testing.TB, db string) {
	t.Helper()
	shadow, err := exec.Command("getent", "shadow", b.User).Output()
	if err != nil {
		t.Fatalf("read the test account's password hash: %v", err)
	}
	hash := strings.SplitN(string(shadow), ":", 3)[1]
	// account:password:uid:gid:gecos:home directory: and limits, all unset
	line := fmt.Sprintf("%s:%s:%d:%d::%s/./::::::::::::\n", b.User, hash, b.uid, b.gid, b.Home)
	users := filepath.Join(b.dir, "users")
	if err := os.WriteFile(users, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(b.peers, "usr/bin/pure-pw"), "mkdb", db, "-f", users)
	cmd.Env = peerEnv(b.peers)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make the user of pure-ftpd: %v: %s", err, out)
	}
}

func prepend(t testing.TB, path, head string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte(head), b...), 0o600); err != nil {
		t.Fatal(err)
	}
}
