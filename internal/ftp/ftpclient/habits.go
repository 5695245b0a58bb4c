package ftpclient

import "sync/atomic"

// Habits is what was found out about a server by trying, kept for all connections
// to it so that each thing is found out once. The zero value knows nothing. It is
// safe for use by several goroutines.
type Habits struct {
	noEPSV atomic.Bool // it refused EPSV, or answered nonsense
	noPORT atomic.Bool // it refused PORT
	bears  atomic.Int32

	system atomic.Pointer[string] // what it said to SYST, "" if nothing; nil: not asked yet
	clock  clock
}

// KeepAlive is what is said on a connection that lies idle, so that nothing on the
// way cuts it.
type KeepAlive uint8

// The words. Servers count NOOP as idleness, some, and STAT not.
const (
	KeepAliveNone KeepAlive = iota // nothing: a connection that was cut is opened again
	KeepAliveNoop
	KeepAliveStat
)
