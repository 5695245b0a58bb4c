package ftpserver

import (
	"context"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/secret"
)

// Access control, RFC 959 section 4.1.1.

// handleUSER starts a login, also a second one in the same session: the account
// that was logged in is left (RFC 959 section 4.1.1).
func (s *session) handleUSER(name string) {
	s.leaveAccount()
	s.user = ""
	to, host, name := s.destination(name)
	switch {
	case s.door != nil && to == &s.door.porter:
		s.reply(ftp.CodeNotLoggedIn, sentence(fault.Public(errNoSite))) // before a password is sent
		return
	case s.mayMove(to) != nil:
		s.reply(ftp.CodeNotLoggedIn, sentence(fault.Public(s.mayMove(to))))
		return
	case !s.moveTo(to), !s.mayLogin(name):
		return
	}
	s.user, s.login = name, host
	s.reply(ftp.CodeNeedPassword, "Password required")
}

// handleREIN begins anew, TLS but for (RFC 959 section 4.1.1): what is protected
// stays so. A transfer has ended before, as its place in the table has it.
func (s *session) handleREIN(string) {
	s.reset()
	if to, _, _ := s.destination(""); s.moveTo(to) {
		s.reply(ftp.CodeReady, "Ready for a new user")
	}
}

// reset takes the session back to its beginning.
func (s *session) reset() {
	s.leaveAccount()
	s.user, s.epsvOnly, s.umask = "", false, nil
	s.byHost, s.hostName = nil, ""
}

// leaveAccount takes back what a login gave, and what was done with it.
func (s *session) leaveAccount() {
	if s.account == nil {
		return
	}
	if s.account.Release != nil {
		s.account.Release()
	}
	s.srv.leaveUser(s.account.Name)
	s.account = nil
	s.cwd, s.restart, s.renameFrom, s.ascii, s.facts = "/", 0, "", true, ftp.DefaultFacts
	s.dropData()
	s.seen.login("")
	s.srv.loggedIn(s, false)
	s.pace.login(time.Now().Add(s.timeouts.Login))
}

func (s *session) handlePASS(password string) {
	switch {
	case s.account != nil:
		s.reply(ftp.CodeBadSequence, "Logged in already; USER logs in anew")
		return
	case s.user == "":
		s.reply(ftp.CodeBadSequence, "Send USER first")
		return
	}
	user := s.user
	s.user = ""
	// Nobody waits longer for a password check than for the login as a whole.
	ctx, cancel := context.WithTimeout(s.ctx, s.timeouts.Login)
	defer cancel()
	login := Login{User: user, Password: secret.New(password), Peer: s.peer, Local: s.local}
	if s.tls != nil {
		login.TLS = true
		if s.tls.of == s.srv { // else other authorities than this site's vouch for it
			login.Certificate = s.tls.client
		}
	}
	login.Host = s.login
	account, err := s.guarded(ctx, login, s.policy.Authenticate)
	account.Name = orDefault(account.Name, user)
	if err == nil {
		err = s.admissible(&account)
	}
	if err != nil {
		s.refuseLogin(err)
		return
	}
	s.account, s.cwd = &account, orDefault(account.Dir, "/")
	s.log = s.srv.logger().With("session", s.id, "peer", s.peer.String(), "user", account.Name)
	s.seen.login(account.Name)
	s.srv.loggedIn(s, true)
	s.pace.login(time.Time{})
	s.log.Info("logged in", "read-only", account.ReadOnly)
	s.reply(ftp.CodeLoggedIn, s.message(s.policy.Messages.Greeting, "Logged in")...)
}

// admissible counts a session of account, or gives it back and says why there can
// be none.
func (s *session) admissible(account *Account) error {
	var err error
	if account.Tree == nil {
		err = fault.New(fault.Internal, "account %q has no files", account.Name)
	} else {
		err = s.overLimit(account.Name)
	}
	if err != nil && account.Release != nil {
		account.Release()
	}
	return err
}

// refuseLogin answers a wrong password, later with every attempt.
func (s *session) refuseLogin(err error) {
	s.attempts++
	last := s.attempts >= s.limits.LoginAttempts
	kind := fault.KindOf(err)
	wrong := kind == fault.Unauthenticated || kind == fault.NotFound
	log := s.log.With("attempt", s.attempts, "kind", kind.String())
	if !wrong { // else its text may have the user's name, which may be a password typed too early
		log = log.With("err", err)
	}
	log.Warn("login refused")
	select {
	case <-time.After(time.Duration(s.attempts) * s.timeouts.BadLogin):
	case <-s.ctx.Done():
		return
	}
	switch {
	case last && wrong:
		s.reply(ftp.CodeUnavailable, "Too many wrong passwords, closing the connection")
		s.quit = true
	case last:
		s.reply(ftp.CodeUnavailable, "Too many logins that were refused, closing the connection")
		s.quit = true
	case kind == fault.Busy, kind == fault.Denied:
		s.reply(ftp.CodeNotLoggedIn, sentence(fault.Public(err)))
	case wrong:
		s.reply(ftp.CodeNotLoggedIn, "Wrong user name or password")
	default:
		s.reply(ftp.CodeNotLoggedIn, "The login cannot be checked now, try again later")
	}
}

// handleQUIT runs when no transfer does: it has waited for its turn.
func (s *session) handleQUIT(string) {
	text := s.policy.Messages.Exit
	if len(text) == 0 {
		text = []string{"Goodbye"}
	}
	s.reply(ftp.CodeClosing, s.message(text)...)
	s.quit = true
}
