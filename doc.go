// Package sallyport has no code: this is where a tour of the source begins.
//
// Sallyport moves files between FTP servers inside a private network and
// applications outside it, through a firewall in which nothing may dial in. The
// program is cmd/sallyport; everything it is made of is below internal.
//
// Begin with docs/explanation/architecture.md: one picture, and the life of a file
// in ten steps. Then read, each from its package comment on: internal/netx, whose
// DialFunc is the hinge of everything; internal/ftp, the grammar that server,
// client and connector share; internal/tunnel, with gateway and connector, its two
// ends; internal/flow, which loses nothing and sends nothing twice; and
// internal/daemon, where all of them are introduced to one another.
//
// The words are those of docs/glossary.md. CONTRIBUTING.md says how to run, test and
// change it.
package sallyport
