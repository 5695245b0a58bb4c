package tunnel

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"sallyport.dev/internal/tunnel/frame"
)

// Covers reports whether m names host and port. Hosts are compared as DNS names
// are, without case and without a final dot; addresses by value.
func Covers(m frame.Mapping, host string, port uint16) bool {
	return m.First <= port && port <= m.Last && SameHost(m.Host, host)
}

// SameHost reports whether two virtual hosts are one.
func SameHost(a, b string) bool { return CanonicalHost(a) == CanonicalHost(b) }

// CanonicalHost returns h in the spelling that is compared.
func CanonicalHost(h string) string {
	if a, err := netip.ParseAddr(h); err == nil {
		return a.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(h, "."))
}

// MappingText writes m as a document does: "host:21" or "host:5000-5010".
func MappingText(m frame.Mapping) string {
	ports := strconv.Itoa(int(m.First))
	if m.Last != m.First {
		ports += "-" + strconv.Itoa(int(m.Last))
	}
	return net.JoinHostPort(m.Host, ports)
}

// Nearest returns the mapping that host and port were most likely meant to be:
// same host and the nearest port, else the host with the fewest letters changed.
// It gives the index, or -1 when nothing comes near.
func Nearest(ms []frame.Mapping, host string, port uint16) int {
	best, bestCost := -1, 1<<30
	host = CanonicalHost(host)
	for i, m := range ms {
		other := CanonicalHost(m.Host)
		d := distance(host, other)
		if d > 0 && d > max(2, min(len(host), len(other))/2) {
			continue
		}
		if cost := d<<17 + portDistance(m, port); cost < bestCost {
			best, bestCost = i, cost
		}
	}
	if best < 0 && len(ms) == 1 {
		return 0
	}
	return best
}

func portDistance(m frame.Mapping, port uint16) int {
	switch {
	case port < m.First:
		return int(m.First - port)
	case port > m.Last:
		return int(port - m.Last)
	}
	return 0
}

// distance is the number of bytes to insert, drop or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next++
			}
			diagonal = row[j+1]
			row[j+1] = min(next, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
