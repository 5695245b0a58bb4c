package ftpserver

import (
	"context"
	"net/netip"
	"unsafe"
)

// Fail is one wrong password, unless the pair is blocked.
func (g *Guard) Fail(user string, addr netip.Addr, a Attempts) {
	key := g.keyOf(user, addr)
	if blocked, err := g.begin(context.Background(), key, a); err == nil && blocked == 0 {
		g.end(key, a, true, false)
	}
}

// Size is how many bytes g remembers with.
func (g *Guard) Size() int { return len(g.slots) * int(unsafe.Sizeof(guardSlot{})) }

// The small grammars of single commands, for their fuzz test.
var (
	HostName       = hostName
	WithoutOptions = withoutOptions
	Octal          = octal
	Shorten        = shorten
)
