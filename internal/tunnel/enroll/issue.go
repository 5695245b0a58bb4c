package enroll

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"io/fs"
	"time"

	"sallyport.dev/internal/fault"
)

const connectorFolder = "connectors"

func connectorName(id string) string { return connectorFolder + "/" + id + ".json" }
func revokedName(id string) string   { return connectorFolder + "/" + id + ".revoked" }

// connectorFile is a connector as the state folder keeps it. Whether it is
// revoked stands in a file of its own, so that a renewal in this process cannot
// undo a revocation made by another.
type connectorFile struct {
	Version     int       `json:"version"`
	ID          string    `json:"id"`
	Location    string    `json:"location"`
	Token       string    `json:"token"`
	Joined      time.Time `json:"joined"`
	Renewed     time.Time `json:"renewed"`
	Certificate string    `json:"certificate"` // PEM
}

type revocation struct {
	Revoked time.Time `json:"revoked"`
}

// record is a connectorFile that was checked.
type record struct {
	Issued
	cert *x509.Certificate
	pem  []byte
}

// records reads all connectors. One unreadable file is an error: to overlook it
// could let a second connector into its location.
func (a *Authority) records() ([]record, error) {
	names, err := a.state.list(connectorFolder, ".json")
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "list connectors")
	}
	var out []record
	for _, id := range names {
		r, err := a.record(id)
		if errors.Is(err, fs.ErrNotExist) {
			continue // swept since the listing
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (a *Authority) record(id string) (record, error) {
	name := connectorName(id)
	broken := func(err error) (record, error) {
		return record{}, fault.Wrap(fault.Internal, err, "read connector file %q", a.state.path(name))
	}
	if !validID(id, connectorRaw) {
		return broken(errors.New("its name is not a connector id"))
	}
	var c connectorFile
	if err := a.state.readJSON(name, &c); err != nil {
		return broken(err)
	}
	cert, err := parseCert([]byte(c.Certificate))
	if err != nil {
		return broken(err)
	}
	who, err := IdentityOf(cert)
	if err != nil {
		return broken(err)
	}
	if who.ID != id || c.ID != id || who.Location != c.Location {
		return broken(errors.New("its parts contradict one another"))
	}
	r := record{cert: cert, pem: []byte(c.Certificate), Issued: Issued{
		ID: id, Location: c.Location, Token: c.Token, Joined: c.Joined, Renewed: c.Renewed, NotAfter: cert.NotAfter,
	}}
	var rv revocation
	switch err := a.state.readJSON(revokedName(id), &rv); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil || rv.Revoked.IsZero():
		r.Revoked = c.Joined // the mark is there, whatever is in it
	default:
		r.Revoked = rv.Revoked
	}
	return r, nil
}

// issue signs and records a certificate. The record is on the disk before the
// certificate leaves.
func (a *Authority) issue(c Issued, key *ecdsa.PublicKey) ([]byte, error) {
	der, err := a.ca.sign(key, connectorSubject(c.ID, c.Location), x509.ExtKeyUsageClientAuth, nil, a.now(), connectorLife)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "sign certificate of connector %s", c.ID)
	}
	text := encodeCert(der)
	err = a.state.writeJSON(connectorName(c.ID), connectorFile{
		Version: 1, ID: c.ID, Location: c.Location, Token: c.Token, Joined: c.Joined, Renewed: c.Renewed, Certificate: string(text),
	})
	if err != nil {
		return nil, fault.Wrap(storeKind(err), err, "record connector %s", c.ID)
	}
	return text, nil
}

// storeKind classifies what a write to the state folder met. To a stranger it
// is never more than that there is no room.
func storeKind(err error) fault.Kind {
	if fault.KindOf(err) == fault.Full {
		return fault.Full
	}
	return fault.Internal
}

// Renew issues a new certificate to a connector whose session already showed a
// valid one: same id, same location, the key of the request, 90 days from now.
// The old certificate stays valid until its own end. A revoked or expired
// connector is Denied; one that asks too often is Busy.
//
// A connector that joined at another gateway of the same authority is recorded
// here by its first renewal.
func (a *Authority) Renew(id Identity, csrDER []byte) ([]byte, error) {
	if err := a.Check(id); err != nil {
		return nil, err
	}
	if err := CheckLocation(id.Location); err != nil {
		return nil, err
	}
	if wait, ok := a.renews.allow(id.ID, a.now()); !ok {
		return nil, fault.New(fault.Busy, "connector %s renews too often", id.ID).WithHint("ask again in %s", seconds(wait))
	}
	key, err := parseCSR(csrDER)
	if err != nil {
		return nil, err
	}
	a.turn.Lock()
	defer a.turn.Unlock()
	now := a.now().UTC()
	r, err := a.record(id.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.Issued = Issued{ID: id.ID, Location: id.Location, Joined: now}
	case err != nil:
		return nil, err
	case r.Location != id.Location:
		return nil, fault.New(fault.Denied, "connector %s belongs to location %s, not to %s", id.ID, r.Location, id.Location)
	}
	r.Renewed = now
	text, err := a.issue(r.Issued, key)
	if err != nil {
		return nil, err
	}
	a.log().Info("certificate renewed", "connector", id.ID, "location", id.Location)
	return text, nil
}
