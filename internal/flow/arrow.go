package flow

// Arrows are the named moments between two steps of a transfer at which a process
// may end. A program built with the tag torture halts at one of them when it is
// told to, so that it can be killed just there; in any other program passing one
// does nothing.
var Arrows = []string{
	"listed",    // files are about to be claimed
	"recorded",  // claims are written down, their tasks are not yet queued
	"queued",    // and now they are
	"taken",     // a worker has the task
	"begun",     // the attempt is about to open the source
	"opened",    // the source is open
	"written",   // the file is whole under its temporary name
	"verified",  // the source is still what was claimed; no intent yet
	"intent",    // the intent is written down
	"renamed",   // the file has its final name at a sink
	"delivered", // that is written down
	"compared",  // the source was compared with the claim once more
	"processed", // the source is deleted or moved
	"done",      // that is written down
	"ended",     // the task is ended
}
