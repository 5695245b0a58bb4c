// Package ftp is the grammar of FTP: commands, replies, listings, addresses and
// virtual paths, as values and as bytes. Both ends and the tunnel's watcher
// share it. It starts nothing, waits for nothing and logs nothing, and it has
// no clock: whoever parses a LIST line without a year says what time it is.
//
// The control connection carries lines (RFC 959 section 5.3, RFC 2640):
//
//	command  = verb [SP argument] CRLF                 [Command]
//	reply    = code SP text CRLF                       [Reply]
//	         / code "-" text CRLF *(line CRLF) code SP text CRLF
//
// A 0xFF byte is Telnet's IAC and travels doubled (RFC 854, RFC 1123 4.1.2.10).
// Data connections are announced by six numbers or by a delimited triple
// (RFC 959 4.1.2, RFC 2428):
//
//	PORT 10,0,0,7,156,186        227 ... (10,0,0,7,156,186)
//	EPRT |2|2001:db8::7|40122|   229 ... (|||40122|)
//
// A listing's line is an [Entry], whichever way it is spelled:
//
//	type=file;size=3;modify=20240528091500; name       MLSD, MLST (RFC 3659)
//	-rw-r--r--   1 owner  group   3 May 28 09:15 name  LIST of most servers
//	05-28-24  09:15AM                    3 name        LIST of IIS
//
// [Reader] reads lines, commands and replies within bounds. A peer that says no
// becomes a [ReplyError], a peer that breaks the rules a [SyntaxError]; both
// have a kind that package fault knows.
package ftp
