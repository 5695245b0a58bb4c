package daemon

import "sallyport.dev/internal/api"

// siteHandler answers about the sessions of sites; nil without sites.
func (w *world) siteHandler() *api.SiteHandler {
	if len(w.current()) == 0 {
		return nil
	}
	return &api.SiteHandler{Sessions: w.siteSessions, Disconnect: w.disconnect}
}

func (w *world) siteSessions() []api.SiteSession {
	out := []api.SiteSession{}
	for _, site := range w.current() {
		for _, s := range site.server.Sessions() {
			out = append(out, api.SiteSession{
				ID: s.ID, Site: site.cfg.Name, User: s.Account, Client: s.Peer.String(), Since: s.Started,
				Command: s.Command, Begun: s.At, Previous: s.Previous, Reply: int(s.Reply), Failure: int(s.Failure),
				Path: s.Path, Sent: s.Sent, Received: s.Received,
			})
		}
	}
	return out
}

func (w *world) disconnect(id uint64) bool {
	for _, site := range w.current() {
		if site.server.Disconnect(id) {
			w.log.Info("session was disconnected by the administrator", "site", site.cfg.Name, "session", id)
			return true
		}
	}
	return false
}
