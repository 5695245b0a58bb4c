// Package socks5 is a SOCKS5 proxy and the tiny client of one: RFC 1928's
// messages, RFC 1929's user and password, a [Server] that opens connections by a
// function it is given, and a [Dialer] for the other end. It knows no tunnel and
// resolves no name: the name that a client sends is what the function gets.
//
// The messages, in order:
//
//	client  05 n METHOD*n                         [ReadGreeting]
//	server  05 METHOD                             FF: none of these
//	client  01 n USER*n n PASSWORD*n              [ReadCredentials], if METHOD is 02 (RFC 1929)
//	server  01 STATUS                             00: welcome
//	client  05 CMD 00 ADDRESS                     [ReadRequest]
//	server  05 REP 00 ADDRESS                     [ReadReply]
//
//	ADDRESS = 01 four bytes port / 03 n NAME*n port / 04 sixteen bytes port
//
// CONNECT is served. BIND and UDP ASSOCIATE are refused, as is the method 80 of
// other vendors' tunnels; each has its place in a table here for the day they
// are not. What a refusal means in words stands in the server's log, because
// SOCKS has one byte for it.
package socks5
