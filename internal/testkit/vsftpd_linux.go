package testkit

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Vsftpd starts Debian's vsftpd. It has no MLSD, UTF8 or implicit PASV address;
// with TLS it demands that data connections resume the control connection's
// session unless NoReuse says otherwise.
func Vsftpd(t testing.TB, opts VsftpdOptions) *FTPServer {
	t.Helper()
	b := newBench(t, "vsftpd", opts)
	empty := filepath.Join(b.dir, "empty") // where vsftpd's unprivileged half lives
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := map[string]string{
		"listen": "YES", "listen_address": b.Host, "listen_port": strconv.Itoa(b.Port),
		"background": "NO", "session_support": "NO", "isolate": "NO", "isolate_network": "NO",
		"seccomp_sandbox":   "NO", // its filter kills vsftpd itself on kernels newer than it
		"secure_chroot_dir": empty,
		"anonymous_enable":  "NO", "local_enable": "YES", "write_enable": "YES",
		"pam_service_name": "other", // an unpacked vsftpd has no PAM file of its own
		"check_shell":      "NO", "tcp_wrappers": "NO",
		"chroot_local_user": "YES", "allow_writeable_chroot": "YES", "local_root": b.Home,
		"local_umask": "022", "dirmessage_enable": "NO", "use_localtime": "NO",
		"pasv_min_port": strconv.Itoa(b.Passive.Min), "pasv_max_port": strconv.Itoa(b.Passive.Max),
		"xferlog_enable": "YES", "xferlog_std_format": "NO", "vsftpd_log_file": b.LogFile,
		"max_per_ip": "0", "max_clients": "0",
	}
	if tls := opts.TLS; tls != nil {
		conf["ssl_enable"] = "YES"
		conf["rsa_cert_file"] = b.Certs.PEMFile
		conf["rsa_private_key_file"] = b.Certs.PEMFile
		conf["ssl_ciphers"] = "HIGH"
		conf["strict_ssl_read_eof"] = "YES"
		conf["implicit_ssl"] = yes(tls.Implicit)
		conf["force_local_logins_ssl"] = yes(!tls.Optional)
		conf["force_local_data_ssl"] = yes(!tls.Optional)
		conf["require_ssl_reuse"] = yes(!tls.NoReuse)
		switch tls.MaxVersion {
		case "":
		case "1.2":
			conf["ssl_tlsv1_2"], conf["ssl_tlsv1_3"] = "YES", "NO"
		case "1.3":
			conf["ssl_tlsv1_2"], conf["ssl_tlsv1_3"] = "NO", "YES"
		default:
			t.Fatalf("vsftpd: unknown TLS version %q", tls.MaxVersion)
		}
	}
	return b.start(t, "usr/sbin/vsftpd", b.config(t, "=", conf, ""))
}

func yes(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}
