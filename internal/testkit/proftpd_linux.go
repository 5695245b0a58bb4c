package testkit

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Proftpd starts Debian's ProFTPD with mod_tls where TLS is asked for. It demands
// session resumption of data connections unless NoReuse says otherwise.
func Proftpd(t testing.TB, opts ProftpdOptions) *FTPServer {
	t.Helper()
	b := newBench(t, "proftpd", opts)
	at := func(name string) string { return filepath.Join(b.dir, name) }
	conf := map[string]string{
		"ServerType": "standalone", "ServerName": `"test"`, "UseReverseDNS": "off", "UseIPv6": "off",
		"DefaultAddress": b.Host, "SocketBindTight": "on", "Port": strconv.Itoa(b.Port),
		"PassivePorts": fmt.Sprintf("%d %d", b.Passive.Min, b.Passive.Max),
		"User":         "nobody", "Group": "nogroup", "MaxInstances": "1000",
		"AuthOrder": "mod_auth_unix.c", "RequireValidShell": "off", "RootLogin": "off",
		"DefaultRoot": b.Home, "Umask": "022", "AllowOverwrite": "on",
		"AllowStoreRestart": "on", "AllowRetrieveRestart": "on", "TimesGMT": "on",
		"PidFile": at("pid"), "ScoreboardFile": at("scoreboard"), "DelayTable": "none", "DelayEngine": "off",
		"SystemLog": b.LogFile, "TransferLog": "none", "WtmpLog": "off",
	}
	var modules string
	if tls := opts.TLS; tls != nil {
		modules = "LoadModule mod_tls.c\n"
		conf["ModulePath"] = filepath.Join(b.peers, "usr/lib/proftpd")
		conf["TLSEngine"] = "on"
		conf["TLSLog"] = b.LogFile
		conf["TLSECCertificateFile"] = b.Certs.CertFile
		conf["TLSECCertificateKeyFile"] = b.Certs.KeyFile
		conf["TLSRequired"] = map[bool]string{true: "off", false: "on"}[tls.Optional]
		switch tls.MaxVersion {
		case "":
			conf["TLSProtocol"] = "TLSv1.2 TLSv1.3"
		case "1.2", "1.3":
			conf["TLSProtocol"] = "TLSv" + tls.MaxVersion
		default:
			t.Fatalf("proftpd: unknown TLS version %q", tls.MaxVersion)
		}
		var options []string
		if tls.NoReuse {
			options = append(options, "NoSessionReuseRequired")
		}
		if tls.Implicit {
			options = append(options, "UseImplicitSSL")
		}
		if len(options) > 0 {
			conf["TLSOptions"] = strings.Join(options, " ")
		}
	}
	// The module's path and its loading must stand before its directives.
	var head string
	if modules != "" {
		head = "ModulePath " + conf["ModulePath"] + "\n" + modules
		delete(conf, "ModulePath")
	}
	path := b.config(t, " ", conf, "<Directory />\n  AllowOverwrite on\n</Directory>\n")
	prepend(t, path, head)
	return b.start(t, "usr/sbin/proftpd", "-n", "-q", "-c", path)
}
