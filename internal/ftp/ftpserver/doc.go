// Package ftpserver is the server's side of FTP: what RFC 959 and RFC 1123 ask
// of one, the parts of RFC 2389, 2428, 2640 and 3659 that clients use, and
// nothing of where users and files come from.
//
// A [Server] accepts control connections. Its Authenticate says who somebody is
// and gives an [Account], whose [Tree] holds the files. [Commands] lists what is
// served; replies to FEAT and HELP come from the same table.
//
// Each session is one goroutine that owns its state and reads commands in order,
// and one more while a transfer runs. During a transfer only ABOR and STAT are
// looked at; whatever else comes waits for its turn, QUIT too, so that replies
// always come in the order of the commands.
//
//	C: STOR orders.xml     the session opens the upload: 550 now, if it cannot be
//	C: <data connection>   the transfer takes it, from the client's address only
//	S: 150                 bytes go to a hidden part beside the final name
//	C: <end of data>       the data connection is closed
//	                       the part is closed, flushed by policy, renamed
//	S: 226                 only now; a reset, a stall or ABOR give 426 and no file
//
// Plain data is moved by the kernel where it can: a data connection and a file are
// bare, and on Linux sendfile and splice go between them. What is small and there
// already is moved by the session itself; a transfer has a goroutine of its own when
// something has to be waited for.
package ftpserver
