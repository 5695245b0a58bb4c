package frame

import (
	"encoding/hex"
)

// MarshalText writes the ID in hexadecimal.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText reads what [ID.MarshalText] writes.
func (id *ID) UnmarshalText(b []byte) error {
	if len(b) != 2*len(id) {
		return bad("id", "%d hexadecimal digits", 2*len(id))
	}
	if _, err := hex.Decode(id[:], b); err != nil {
		return bad("id", "%d hexadecimal digits", 2*len(id))
	}
	return nil
}

func (m *Hello) check() error {
	if m.Protocol < 1 || m.Protocol > 1<<16 {
		return bad("hello", "a protocol number")
	}
	if err := checkText("software", m.Software, 100); err != nil {
		return err
	}
	if m.Location == "" {
		return bad("hello", "a location")
	}
	if err := checkText("location", m.Location, 100); err != nil {
		return err
	}
	if len(m.Mappings) > MaxMappings {
		return bad("hello", "at most %d mappings, got %d", MaxMappings, len(m.Mappings))
	}
	for _, p := range m.Mappings {
		if err := p.check(); err != nil {
			return err
		}
	}
	return nil
}

func (p Mapping) check() error {
	if err := CheckHost(p.Host); err != nil {
		return err
	}
	if p.First == 0 || p.First > p.Last {
		return bad("mapping", "ports from 1 to 65535 in rising order, got %d-%d", p.First, p.Last)
	}
	if p.Protocol != "tcp" && p.Protocol != "ftp" {
		return bad("mapping", `protocol "tcp" or "ftp", got %q`, p.Protocol)
	}
	return nil
}

func (m *Welcome) check() error {
	if m.Protocol < 1 || m.Protocol > 1<<16 {
		return bad("welcome", "a protocol number")
	}
	if m.Spares < 0 || m.Spares > 64 {
		return bad("welcome", "0 to 64 spares, got %d", m.Spares)
	}
	return checkText("software", m.Software, 100)
}

func (m *Refusal) check() error {
	if m.Kind == "" {
		return bad("refusal", "a kind")
	}
	return Status(*m).check()
}

func (*Ping) check() error { return nil }
func (*Pong) check() error { return nil }

func (m *Grow) check() error {
	if m.Count < 1 || m.Count > 64 {
		return bad("grow", "1 to 64 links, got %d", m.Count)
	}
	return nil
}

func (m *Lookup) check() error {
	return Open{Host: m.Host, Port: m.Port, Principal: m.Principal}.check()
}

func (*Found) check() error { return nil }

func (m *Renew) check() error {
	if len(m.CSR) == 0 || len(m.CSR) > 8<<10 {
		return bad("renew", "a request of 1 to 8192 bytes, got %d", len(m.CSR))
	}
	return nil
}

func (m *Renewed) check() error {
	if len(m.Certificate) == 0 || len(m.Certificate) > 16<<10 {
		return bad("renewed", "a certificate of 1 to 16384 bytes, got %d", len(m.Certificate))
	}
	return nil
}

func (m *Drain) check() error { return checkText("drain", m.Reason, MaxText) }
