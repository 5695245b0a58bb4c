// Package ftpclient is an FTP client for programs: every wait bounded, every
// failure told apart, nothing taken for whole that is not.
//
// A [Conn] is one control connection with at most one transfer at a time; a
// [Pool] holds several of them. Both open all their connections, control and
// data, through the [netx.DialFunc] of their [Config], so that they work the
// same through a tunnel as beside the server, and through the proxies of packages
// socks5 and httpconnect. Paths are given in full, from the
// login directory or from "/"; the working directory is left alone.
//
//	list      TYPE I, EPSV or PASV, MLSD or LIST         RFC 959, 2428, 3659
//	read      EPSV, [REST], RETR, data, close, 226       [Conn.Retr], [Download]
//	write     EPSV, [REST], STOR, data, end, 226         [Conn.Stor], [Upload]
//	many      EPSV RETR, and the next while one runs     [Conn.RetrEach], [Pool.RetrEach]
//	large     REST RETR in parts, over several           [Pool.RetrSegments]
//
// Rules that the code keeps throughout:
//
//   - The address in a 227 is ignored unless [Config.PasvAddress] says otherwise:
//     data goes to the host of the control connection, named as the configuration
//     names it. In active mode only the control connection's peer may come.
//   - At the end of data the data connection is closed first and the 226 read
//     then. Servers that linger until their last segment is acknowledged
//     otherwise cost 40 ms a file.
//   - Commands that do not wait for one another are sent together where the server
//     bears that, which is found out once; see [Pipelining].
//   - A reply that does not fit what was asked ends the connection; it is never
//     taken for another command's.
//   - Over TLS a download that ends without close_notify is not whole, and an
//     upload ends with close_notify and reads what the server still has to say.
//   - TLS sessions of data connections resume the control connection's, which
//     most servers demand (RFC 4217 section 7): each Conn has a session cache of
//     its own that keeps the last ticket.
//
// A Conn does not retry or resume by itself; the Pool's RetrEach and RetrSegments do.
package ftpclient
