// Package mirror makes what is in one folder be in another one, where each is on an
// FTP server or on this machine. It works one way, on whole files.
//
// A [Store] is one of the two ends: [Local], through os.Root, so that no name leads
// out of its folder, or [FTP], over a pool of connections. [Sync] compares two
// stores folder by folder and carries what differs; [Sync.Copy] carries files that
// somebody else chose. What is done is told to a [Reporter].
//
// A file is written under another name in the same folder, see [IsPart], and gets
// its own name when it is whole. That other name tells which size and time the
// source had, so that a later run goes on with it only if those are the same.
//
// Both listings of a folder are read to their ends before anything is done there,
// sorted, on disk if they are long: memory does not grow with their length. Nothing
// is removed before everything has been compared and carried without a fault.
package mirror
