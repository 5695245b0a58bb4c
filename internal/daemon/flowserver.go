package daemon

import (
	"cmp"
	"errors"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/secret"
)

// newPool makes the pool of connections of one flow to one server: one for each
// transfer at a time and one for the listing.
func (w *world) newPool(cfg *config.Flow, s *config.FTPServer) (*ftpclient.Pool, error) {
	c, err := clientConfig(s)
	if err != nil {
		return nil, err
	}
	c.Dial, c.Active.Listen, c.Logger = w.opts.Network.Dial, w.opts.Network.Listen, w.log.With("flow", cfg.Name)
	if s.Location != "" {
		if c.Dial, err = w.dialLocation("flow:"+cfg.Name, s.Location); err != nil {
			return nil, err
		}
	}
	pool := &ftpclient.Pool{Config: c, Max: max(cfg.Concurrency, 1) + 1, KeepAlive: keepAlives[s.KeepAlive]}
	w.pools = append(w.pools, pool)
	return pool, nil
}

var errNoCertificates = errors.New("there is no PEM certificate in it")

// The document's words in those of the client.
var (
	securities = map[config.Security]ftpclient.Security{
		config.SecurityNone: ftpclient.Plain, config.SecurityExplicit: ftpclient.Explicit, config.SecurityImplicit: ftpclient.Implicit,
	}
	modes = map[config.Mode]ftpclient.Mode{
		config.ModePassive: ftpclient.PassiveMode, config.ModePASV: ftpclient.PasvMode, config.ModeActive: ftpclient.ActiveMode,
	}
	pasvAddresses = map[config.PasvAddress]ftpclient.PasvAddress{
		config.PasvControlHost: ftpclient.ControlHost, config.PasvAuto: ftpclient.AutoPasv, config.PasvTrust: ftpclient.TrustPasv,
	}
	keepAlives = map[config.KeepAlive]ftpclient.KeepAlive{
		config.KeepAliveNone: ftpclient.KeepAliveNone, config.KeepAliveNoop: ftpclient.KeepAliveNoop, config.KeepAliveStat: ftpclient.KeepAliveStat,
	}
)

// clientConfig is what the document says of a server, without the way to it. A word
// that is not known here is a defect of ours, and must not become less protection.
func clientConfig(s *config.FTPServer) (c ftpclient.Config, err error) {
	security, ok1 := securities[s.Security]
	mode, ok2 := modes[s.Mode]
	// Documents made by this program itself have no defaults filled in.
	pasv, ok3 := pasvAddresses[cmp.Or(s.PasvAddress, config.PasvControlHost)]
	if _, ok4 := keepAlives[cmp.Or(s.KeepAlive, config.KeepAliveNone)]; !ok1 || !ok2 || !ok3 || !ok4 {
		return c, fault.New(fault.Internal, "security %q, mode %q, pasv_address %q or keepalive %q has no meaning here", s.Security, s.Mode, s.PasvAddress, s.KeepAlive)
	}
	c = ftpclient.Config{
		Addr: s.Address.String(), User: s.User, VirtualHost: s.VirtualHost,
		Security: security, Mode: mode, PasvAddress: pasv,
	}
	if c.Charset, err = ftp.LookupCharset(string(s.Charset)); err != nil {
		return c, fault.As(err, "names at %s", s.Address)
	}
	if a := s.Active; a != nil {
		c.Active = ftpclient.Active{Bind: a.Address, Announce: a.ExternalIP, MinPort: a.Ports.Low, MaxPort: a.Ports.High}
	}
	if c.Password, err = resolve(s.Password, "find the password of user %q at %s", s.User, s.Address); err != nil {
		return c, err
	}
	if c.Account, err = resolve(s.Account, "find the account of user %q at %s", s.User, s.Address); err != nil {
		return c, err
	}
	if security == ftpclient.Plain {
		return c, nil
	}
	trust := ftpclient.Trust{Pin: s.Pin, Unverified: s.Unverified, OldTLS: s.OldTLS}
	ca, err := resolve(s.CA, "read the certificates that %s must come from", s.Address)
	if err != nil {
		return c, err
	}
	certificate, err := resolve(s.Certificate, "read the certificate for %s", s.Address)
	if err != nil {
		return c, err
	}
	if trust.Key, err = resolve(s.Key, "read the key of the certificate for %s", s.Address); err != nil {
		return c, err
	}
	trust.CA, trust.Certificate = ca.Reveal(), certificate.Reveal()
	if c.TLS, err = trust.Config(); err != nil {
		return c, fault.As(err, "TLS with %s", s.Address)
	}
	return c, nil
}

// resolve reads what a reference refers to; no reference is an empty secret.
func resolve(r secret.Ref, format string, args ...any) (secret.Text, error) {
	if r.IsZero() {
		return secret.Text{}, nil
	}
	text, err := r.Resolve()
	if err != nil {
		return secret.Text{}, fault.As(err, format, args...)
	}
	return text, nil
}
