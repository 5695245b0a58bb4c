package testkit

import (
	_ "embed" // the server is a few lines of Python
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

//go:embed pyftpdlib.py
var pyftpdlibProgram string

// Pyftpdlib starts Debian's pyftpdlib with a virtual user, run by the system's
// python3. It asks for no session resumption and knows no implicit TLS. Extra are
// attributes of its handler, in JSON ("permit_foreign_addresses": "true").
func Pyftpdlib(t testing.TB, opts PyftpdlibOptions) *FTPServer {
	t.Helper()
	const python = "/usr/bin/python3" // the one that Debian's packages are for
	_, err := os.Stat(python)
	Need(t, err == nil, python, "scripts/needs.sh installs it")
	b := newBench(t, "pyftpdlib", opts)
	conf := map[string]any{
		"host": b.Host, "port": b.Port, "user": b.User, "password": b.Password, "home": b.Home, "uid": b.uid, "gid": b.gid,
		"min": b.Passive.Min, "max": b.Passive.Max,
	}
	if tls := opts.TLS; tls != nil {
		if tls.Implicit || tls.MaxVersion != "" {
			t.Fatal("pyftpdlib has neither implicit TLS nor a choice of TLS versions")
		}
		conf["certificate"] = b.Certs.PEMFile
		conf["require"] = !tls.Optional
	}
	extra := map[string]json.RawMessage{}
	for k, v := range opts.Extra {
		extra[k] = json.RawMessage(v)
	}
	conf["extra"] = extra
	text, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	program, config := filepath.Join(b.dir, "server.py"), filepath.Join(b.dir, "conf")
	for path, content := range map[string][]byte{program: []byte(pyftpdlibProgram), config: text} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.env = []string{"PYTHONPATH=" + filepath.Join(b.peers, "usr/lib/python3/dist-packages"), "PYTHONDONTWRITEBYTECODE=1"}
	return b.start(t, python, program, config)
}
