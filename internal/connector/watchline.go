package connector

import (
	"bytes"
	"errors"
)

var (
	errBareLF   = errors.New("line ends with LF alone")
	errLongLine = errors.New("line is too long")
)

// splitter cuts a stream into lines that end with CRLF, and nothing else.
type splitter struct {
	held []byte // the beginning of a line; at most maxWatchLine+1 bytes
}

// feed calls line for each whole line, its CRLF included; the slice is good for
// the call. After an error the splitter is of no more use.
func (s *splitter) feed(p []byte, line func([]byte) error) error {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		n := i + 1
		if i < 0 {
			n = len(p)
		}
		if len(s.held)+n > maxWatchLine+2 || i < 0 && len(s.held)+n > maxWatchLine+1 {
			return errLongLine
		}
		whole := p[:n]
		if len(s.held) > 0 || i < 0 {
			s.held = append(s.held, whole...)
			whole = s.held
		}
		p = p[n:]
		if i < 0 {
			return nil
		}
		if len(whole) < 2 || whole[len(whole)-2] != '\r' {
			return errBareLF
		}
		err := line(whole)
		s.held = s.held[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

// deniedPorts are services that a server's data port never is, and that nobody
// should reach through a reply in an FTP conversation. Below 1024 all are denied.
// Above 32767, where servers take their data ports from, none is listed.
var deniedPorts = map[uint16]string{
	1080:  "SOCKS",
	1433:  "SQL Server",
	1434:  "SQL Server",
	1521:  "Oracle",
	2049:  "NFS",
	2375:  "Docker",
	2376:  "Docker",
	2379:  "etcd",
	2380:  "etcd",
	3128:  "an HTTP proxy",
	3268:  "LDAP",
	3269:  "LDAP",
	3306:  "MySQL",
	3389:  "Remote Desktop",
	5432:  "PostgreSQL",
	5900:  "VNC",
	5985:  "WinRM",
	5986:  "WinRM",
	6379:  "Redis",
	6443:  "Kubernetes",
	8443:  "HTTPS",
	9200:  "Elasticsearch",
	10250: "Kubernetes",
	11211: "memcached",
	27017: "MongoDB",
	30015: "SAP HANA",
}
