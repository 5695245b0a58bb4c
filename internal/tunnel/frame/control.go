package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Control is a message on a control link: one of the pointer types below.
type Control interface{ check() error }

// Hello opens a session. Connector to gateway.
type Hello struct {
	Protocol int       `json:"protocol"`
	Software string    `json:"software"` // the connector's version, for the eye
	Location string    `json:"location"`
	Instance ID        `json:"instance"` // one per process: a new one replaces the old session
	Mappings []Mapping `json:"mappings"`
}

// Mapping is the virtual side of a mapping. What is behind it stays at the plant.
type Mapping struct {
	Host     string `json:"host"`
	First    uint16 `json:"first"` // ports First to Last
	Last     uint16 `json:"last"`
	Protocol string `json:"protocol"` // "tcp" or "ftp"
}

// Welcome grants a session. Gateway to connector.
type Welcome struct {
	Protocol int    `json:"protocol"`
	Software string `json:"software"`
	Session  ID     `json:"session"` // what data links attach to
	Spares   int    `json:"spares"`  // data links to park at once
}

// Refusal answers a [Hello] or a [Renew] with no.
type Refusal struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// Ping asks for a [Pong] of the same number. Both ways.
type Ping struct {
	Seq uint64 `json:"seq"`
}

// Pong answers a [Ping].
type Pong struct {
	Seq uint64 `json:"seq"`
}

// Grow asks for more data links. Gateway to connector.
type Grow struct {
	Count int `json:"count"` // 1 to 64
}

// Lookup asks whether a pinhole of the principal explains host and port.
// Gateway to connector. It takes nothing.
type Lookup struct {
	ID        uint64 `json:"id"`
	Principal string `json:"principal"`
	Host      string `json:"host"`
	Port      uint16 `json:"port"`
}

// Found answers a [Lookup].
type Found struct {
	ID    uint64 `json:"id"`
	Found bool   `json:"found"`
}

// Renew asks for a new certificate. Connector to gateway.
type Renew struct {
	CSR []byte `json:"csr"` // PKCS #10, DER
}

// Renewed answers a [Renew] with the certificate.
type Renewed struct {
	Certificate []byte `json:"certificate"` // PEM
}

// Drain says that the sender takes no new streams and will end the session.
type Drain struct {
	Reason string `json:"reason"`
}

// controls is the table of control messages: the wire's type is the index.
var controls = [...]func() Control{
	1:  func() Control { return new(Hello) },
	2:  func() Control { return new(Welcome) },
	3:  func() Control { return new(Refusal) },
	4:  func() Control { return new(Ping) },
	5:  func() Control { return new(Pong) },
	6:  func() Control { return new(Grow) },
	7:  func() Control { return new(Lookup) },
	8:  func() Control { return new(Found) },
	9:  func() Control { return new(Renew) },
	10: func() Control { return new(Renewed) },
	11: func() Control { return new(Drain) },
}

func controlType(m Control) byte {
	switch m.(type) {
	case *Hello:
		return 1
	case *Welcome:
		return 2
	case *Refusal:
		return 3
	case *Ping:
		return 4
	case *Pong:
		return 5
	case *Grow:
		return 6
	case *Lookup:
		return 7
	case *Found:
		return 8
	case *Renew:
		return 9
	case *Renewed:
		return 10
	case *Drain:
		return 11
	}
	panic(fmt.Sprintf("frame: control message %T", m))
}

// AppendControl appends a control message. It fails when m is out of bounds.
func AppendControl(b []byte, m Control) ([]byte, error) {
	if err := m.check(); err != nil {
		return b, err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return b, fmt.Errorf("encode control message: %w", err)
	}
	if len(body)+1 > MaxControl {
		return b, bad("control message", "at most %d bytes, got %d", MaxControl, len(body)+1)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+1)) //nolint:gosec // at most MaxControl
	return append(append(b, controlType(m)), body...), nil
}

// ReadControl reads one control message. io.EOF means that the link ended
// between messages.
func ReadControl(r io.Reader) (Control, error) {
	var h [4]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(h[:])
	if n < 1 || n > MaxControl {
		return nil, bad("control message", "1 to %d bytes, got %d", MaxControl, n)
	}
	// Grow with what arrives: a length alone must not make us allocate.
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, int64(n)); err != nil {
		if err == io.EOF { //nolint:errorlint // io.CopyN returns it bare
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return ParseControl(body.Bytes())
}

// ParseControl parses a control message without its length: u8 type | JSON.
func ParseControl(b []byte) (Control, error) {
	if len(b) == 0 || b[0] == 0 || int(b[0]) >= len(controls) {
		return nil, bad("control message", "a type from 1 to %d", len(controls)-1)
	}
	m := controls[b[0]]()
	d := json.NewDecoder(bytes.NewReader(b[1:]))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return nil, bad("control message", "fields that protocol %d knows: %v", Version, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, bad("control message", "nothing after the object")
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}
