// Package tunnel moves connections between a gateway and a connector over TLS
// 1.3: one TLS connection for each stream, from a pool that is kept warm.
//
//   - [Link] is one TLS connection, control or data.
//   - [Stream] is one tunnelled connection on a data link: a net.Conn with
//     half-close and reset, whose end is always an end mark of its own.
//   - [Pool] is the gateway's store of parked data links.
//   - [Session] is the control link: pings, and messages both ways.
//
// The grammar is package frame's. This package knows no mapping, no certificate
// authority and no FTP: who may speak is package enroll's, what may be reached is
// decided by package connector.
//
// Protocol flow:
//
//	connector                                   gateway
//	   │── TLS, ALPN sallyport/1 ─────────────────►│
//	   │── hello {location, instance, mappings} ──►│
//	   │◄─────────────── welcome {session, spares}─│
//	   │◄──────────────── ping, pong, both ways ──►│
//	   │                                           │
//	   │── TLS, ALPN sallyport-data/1 ────────────►│  each spare
//	   │── attach {session} ──────────────────────►│  parked
//	   │◄──────────────────────────────────── ping─│  every 10 s
//	   │── pong ──────────────────────────────────►│
//	   │◄────────────────────────── open {target} ─│  a program dials
//	   │── status ────────────────────────────────►│  one round trip
//	   │◄── frames ───────────────────── frames ──►│
//	   │◄── end mark ───────────────── end mark ──►│  parked again
package tunnel
