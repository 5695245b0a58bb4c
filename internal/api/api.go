// Package api is what the command line says to a running part, through the
// socket control.sock in its state folder.
//
// The socket speaks HTTP/1.1 and JSON and belongs to its owner alone (0600).
// [Status], [Connector], [Stream] and [Session] are what it answers, [Client] asks,
// [Listen] and [Handler] answer. POST /v1/dial gives the owner a connection to
// location and host:port through the tunnel: after "101 Switching Protocols" the
// socket carries one tunnel stream, so that a cut looks cut here as well.
//
// There is no administrative TCP port.
package api

import (
	"time"

	"sallyport.dev/internal/fault"
)

// Version is the version of these types; a client and a part of different
// versions refuse one another.
const Version = 1

// MaxBody bounds a request's or an answer's JSON, in bytes.
const MaxBody = 16 << 20

// Part is one part that a process plays.
type Part struct {
	Kind    string `json:"kind"`              // site, gateway, socks, connector, flow
	Name    string `json:"name,omitempty"`    // as in the document
	Address string `json:"address,omitempty"` // where it listens, host:port
	State   string `json:"state,omitempty"`   // running, connected, connecting since …
	Doing   string `json:"doing,omitempty"`   // how much of what it bounds is in use, for people
}

// Status is what a process is and does.
type Status struct {
	Version int       `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Parts   []Part    `json:"parts"`
}

// Connector is one connector that a gateway has let in or knows of.
type Connector struct {
	ID        string    `json:"id"`
	Location  string    `json:"location"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since,omitzero"`    // of the present session
	Address   string    `json:"address,omitempty"` // its peer address
	Joined    time.Time `json:"joined,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`   // of its certificate
	Revoked   time.Time `json:"revoked,omitzero"`   // zero if it is not
	Links     int       `json:"links"`              // connections it keeps, idle ones included
	Streams   int       `json:"streams"`            // of them in use
	Mappings  []string  `json:"mappings,omitempty"` // as the connector has told
}

// Stream is one tunnelled connection in progress.
type Stream struct {
	ID        string    `json:"id"`
	Principal string    `json:"principal"`
	Location  string    `json:"location"`
	Target    string    `json:"target"`
	Since     time.Time `json:"since"`
	In        int64     `json:"in"`  // bytes from the plant
	Out       int64     `json:"out"` // bytes to the plant
}

// Session is one session of a connector with the gateway or of a client with a site.
type Session struct {
	Part      string    `json:"part"` // gateway, or site and its name
	Principal string    `json:"principal,omitempty"`
	Address   string    `json:"address"`
	Since     time.Time `json:"since"`
	Doing     string    `json:"doing,omitempty"`
}

// DialRequest asks for a connection through the tunnel.
type DialRequest struct {
	Location string `json:"location"` // empty: whichever exposes the address
	Address  string `json:"address"`  // host:port
}

// Problem is how an error travels.
type Problem struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// ProblemOf turns err into what may be told to the owner of the socket: the
// whole chain, since the owner reads the log as well.
func ProblemOf(err error) Problem {
	return Problem{Kind: fault.KindOf(err).String(), Text: err.Error(), Hint: fault.HintOf(err)}
}

// Err turns p back into an error.
func (p Problem) Err() error {
	k, _ := fault.ParseKind(p.Kind) // an unknown kind is Internal
	return &fault.Error{Kind: k, Text: p.Text, Hint: p.Hint}
}
