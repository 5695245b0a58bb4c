// Package connector is the inside half of the tunnel: it dials out to gateways,
// tells them which virtual names it exposes, and opens connections to what is
// behind those names.
//
// The connector is the one that decides. A [Connector] reaches what its own
// [Mapping] list names, and what a server named there has just announced on a
// control connection that the connector watches (a pinhole). Nothing a gateway
// says can widen that. Internal addresses never leave the plant.
//
// It is no FTP client and listens on no port.
package connector

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/netx"
	"sallyport.dev/internal/tunnel/enroll"
	"sallyport.dev/internal/tunnel/frame"
)

// Connector serves every gateway of its list. Set the fields before Run.
type Connector struct {
	// Credentials say who it is. Required.
	Credentials *enroll.Credentials
	// Gateways are addresses, host:port. Empty: those of the join token.
	Gateways []string
	// Mappings are what may be reached.
	Mappings []Mapping
	// Software is this program's version, for the other end's eye.
	Software string
	// Grace is how long running streams may go on after Run's context ended,
	// before they are cut. Zero cuts them at once.
	Grace time.Duration
	// Logger gets what an operator should know. Nil discards it.
	Logger *slog.Logger
	// OnConnect, if set, is told of each session with a gateway as it begins.
	OnConnect func(gateway string)

	// Dial connects to gateways. Nil is the operating system's network.
	Dial netx.DialFunc
	// DialInside connects to what is behind a mapping, from the address local if
	// that is valid. Nil is the operating system's network.
	DialInside func(ctx context.Context, local netip.Addr, to netip.AddrPort) (net.Conn, error)
	// Resolve looks up the name of an internal host. Nil is the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	rules    []rule
	instance frame.ID
	pinholes *pinholes

	mu      sync.Mutex // guards the following
	state   []GatewayState
	proven  bool          // some gateway has taken the certificate, in this process
	refused map[int]error // gateways that have refused it, and why
}

// GatewayState is how the connector stands with one gateway.
type GatewayState struct {
	Gateway   string
	Connected bool
	Since     time.Time // of this state
	Links     int       // data links
	Streams   int       // of these: in use
	Err       error     // why it is not connected; nil before the first try
}

// Join shows the token to its gateways and leaves credentials in stateDir.
func Join(ctx context.Context, token enroll.Token, stateDir string) (enroll.Identity, error) {
	c, err := enroll.Join(ctx, nil, token, stateDir)
	if err != nil {
		return enroll.Identity{}, err
	}
	return c.Identity(), c.Close()
}

func (c *Connector) log() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

// Check compiles the mappings and returns the first fault, and what is allowed
// but probably not meant.
func (c *Connector) Check() (warnings []string, err error) {
	_, warnings, err = compile(c.Mappings)
	return warnings, err
}

// Run keeps a session with every gateway until the context ends, however often
// they go away. It returns an error if it cannot start: a mapping is wrong, or
// every gateway refuses the certificate before any has taken it. One that was
// taken once is tried for ever, since what refuses it then may pass.
func (c *Connector) Run(ctx context.Context) error {
	rules, warnings, err := compile(c.Mappings)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		c.log().Warn(w)
	}
	gateways := c.Gateways
	if len(gateways) == 0 {
		gateways = c.Credentials.Gateways()
	}
	if len(gateways) == 0 {
		return fault.New(fault.Invalid, "no gateway to connect to").WithHint("set connector.gateways, or join with a token")
	}
	c.rules = rules
	c.pinholes = c.newPinholeTable()
	rand.Read(c.instance[:]) // never returns an error
	gateways = slices.Compact(slices.Clone(gateways))
	c.mu.Lock()
	c.state = make([]GatewayState, len(gateways))
	c.refused = make(map[int]error)
	for i, g := range gateways {
		c.state[i] = GatewayState{Gateway: g, Since: time.Now()}
	}
	c.mu.Unlock()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	var wg sync.WaitGroup
	for i, g := range gateways {
		u := &uplink{c: c, index: i, addr: g}
		wg.Go(func() { u.run(ctx, giveUp) })
	}
	wg.Wait()
	if h := (*hopelessError)(nil); errors.As(context.Cause(ctx), &h) {
		return h.err
	}
	return nil
}

// hopelessError is why a connector gives up at its start.
type hopelessError struct{ err error }

func (e *hopelessError) Error() string { return e.err.Error() }

// hopeless notes how gateway i has answered, and returns why it makes no sense
// to go on: every gateway refuses this connector, and none has ever taken it.
func (c *Connector) hopeless(i int, taken bool, err error) *hopelessError {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proven = c.proven || taken
	delete(c.refused, i)
	if k := fault.KindOf(err); k == fault.Unauthenticated || k == fault.Denied {
		c.refused[i] = err
	}
	if c.proven || len(c.refused) < len(c.state) {
		return nil
	}
	return &hopelessError{errors.Join(slices.Collect(maps.Values(c.refused))...)}
}

// State returns how the connector stands with each gateway.
func (c *Connector) State() []GatewayState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.state)
}

func (c *Connector) set(i int, change func(*GatewayState)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.state[i])
}

func (c *Connector) dialGateway(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = netx.System{}.Dial
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, fault.As(err, "connect to gateway %s", addr).
			WithHint("from this machine the gateway's port must be open outwards; check the address, the firewall and that the gateway runs")
	}
	return conn, nil
}

func (c *Connector) dialInside(ctx context.Context, local netip.Addr, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if c.DialInside != nil {
		return c.DialInside(ctx, local, to)
	}
	d := net.Dialer{KeepAlive: 30 * time.Second}
	if local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	return d.DialContext(ctx, "tcp", to.String())
}

func (c *Connector) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if c.Resolve != nil {
		return c.Resolve(ctx, host)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
