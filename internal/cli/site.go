package cli

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/daemon"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

func newSite(say *speaker) *cobra.Command {
	return noun("site", "Serve a folder by FTP", newSiteServe(say), newSiteSessions(say), newSiteDisconnect())
}

type siteOptions struct {
	dir          string
	listen       string
	user         string
	passwordFile string
	anonymous    bool
	readOnly     bool
	passivePorts string
	externalIP   string
	tls          string
	implicit     bool
	verbose      bool
}

func newSiteServe(say *speaker) *cobra.Command {
	var o siteOptions
	cmd := &cobra.Command{
		Use:   "serve DIR",
		Short: "Serve the folder DIR by FTP until interrupted",
		Long: `Serve makes the folder DIR available by FTP until it is interrupted. One user
may read and write; --anonymous lets anybody read. Neither ".." nor a symbolic
link leads out of DIR. Uploads appear under their names when they are whole.

Without --passive-ports, data connections use ports that the system picks.
Without --tls, passwords and files travel in the clear.`,
		Example: `  sallyport site serve /srv/files --user erp --password-file erp.password
  sallyport site serve . --anonymous --listen 0.0.0.0:2121 --passive-ports 5000-5010`,
		Args: exactly(1, "one folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = args[0]
			cfg, err := o.config()
			if err != nil {
				return err
			}
			run := say.daemonOptions(o.verbose)
			run.Stateless = true
			return daemon.Run(cmd.Context(), cfg, run)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:2121", "address and port; port 0 takes a free one")
	f.StringVar(&o.user, "user", "", "the user who may read and write")
	f.StringVar(&o.passwordFile, "password-file", "", "file with the user's password")
	f.BoolVar(&o.anonymous, "anonymous", false, "let anybody read")
	f.BoolVar(&o.readOnly, "read-only", false, "let nobody write")
	f.StringVar(&o.passivePorts, "passive-ports", "", "data ports in passive mode, such as 5000-5010")
	f.StringVar(&o.externalIP, "external-ip", "", "IPv4 address that PASV names, for clients beyond a NAT")
	f.StringVar(&o.tls, "tls", "", "FTPS, which clients must then use: auto makes a certificate, CERT,KEY are PEM files")
	f.BoolVar(&o.implicit, "implicit", false, "with --tls: TLS from the first byte, as on port 990")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log every command and reply")
	return cmd
}

// config turns the flags into the document that would say the same.
func (o siteOptions) config() (*config.Config, error) {
	switch {
	case o.implicit && o.tls == "":
		return nil, usagef("give --tls auto, or --tls CERT,KEY", "--implicit needs a certificate")
	case o.user == "" && !o.anonymous:
		return nil, usagef("give --user NAME with --password-file FILE, or --anonymous for anybody to read", "nobody could log in")
	case (o.user == "") != (o.passwordFile == ""):
		return nil, usagef("they go together: --user erp --password-file erp.password", "--user and --password-file need one another")
	}
	if fi, err := os.Stat(o.dir); err != nil || !fi.IsDir() {
		return nil, fault.New(fault.NotFound, "there is no folder %q to serve", o.dir).WithHint("make it first: mkdir %q", o.dir)
	}
	s := config.Site{Name: filepath.Base(o.dir), Path: o.dir, ReadOnly: o.readOnly, Anonymous: o.anonymous}
	if err := s.Listen.UnmarshalText([]byte(o.listen)); err != nil {
		return nil, &usageError{fault.As(err, "--listen")}
	}
	if o.passivePorts != "" {
		if err := s.Passive.Ports.UnmarshalText([]byte(o.passivePorts)); err != nil {
			return nil, &usageError{fault.As(err, "--passive-ports")}
		}
	}
	if o.externalIP != "" {
		ip, err := netip.ParseAddr(o.externalIP)
		if err != nil || !ip.Is4() {
			return nil, usagef("EPSV, which IPv6 uses, names no address", "--external-ip %q is no IPv4 address", o.externalIP)
		}
		s.Passive.External = config.External{{Address: config.ExternalAddress{IP: ip}}}
	}
	var err error
	if s.TLS, err = o.secured(); err != nil {
		return nil, err
	}
	cfg := &config.Config{Sites: []config.Site{s}}
	if o.user != "" {
		ref, err := secret.ParseRef("file:" + o.passwordFile)
		if err != nil {
			return nil, err
		}
		cfg.Accounts = []config.Account{{Name: o.user, Password: config.Password{Ref: ref}}}
	}
	return cfg, nil
}

// secured is what the document says of TLS.
func (o siteOptions) secured() (*config.SiteTLS, error) {
	if o.tls == "" {
		return nil, nil
	}
	t := &config.SiteTLS{
		Implicit: o.implicit, Control: config.ControlRequire, Data: config.DataRequire,
		Resumption: config.ResumptionWarn, Truncated: config.TruncatedRefuse,
	}
	if o.tls == "auto" {
		t.Certificate.Auto = true
		return t, nil
	}
	cert, key, ok := strings.Cut(o.tls, ",")
	if !ok || cert == "" || key == "" {
		return nil, usagef("write --tls auto, or --tls server.crt,server.key", "--tls %q is neither auto nor two files", o.tls)
	}
	for ref, file := range map[*secret.Ref]string{&t.Certificate.Ref: cert, &t.Key: key} {
		var err error
		if *ref, err = secret.ParseRef("file:" + file); err != nil {
			return nil, err
		}
	}
	return t, nil
}
