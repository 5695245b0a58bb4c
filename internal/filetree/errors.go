package filetree

import (
	"errors"
	"io"
	"syscall"

	"sallyport.dev/internal/fault"
)

// explain gives err a kind and a public text about the virtual path name.
// Errors that have both already pass as they are.
func explain(err error, name string) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		// os.Root's own refusals carry no number: the path leads out of the root,
		// by a link, or goes through a file as if it were a folder.
		return fault.Wrap(fault.Denied, err, "%q leads out of the folder that is served", name).
			WithHint("links are followed only within it, and an absolute link never")
	}
	if e, ok := errnos[errno]; ok {
		return fault.Wrap(e.kind, err, "%q %s", name, e.text)
	}
	switch kind := fault.KindOf(err); kind {
	case fault.NotFound:
		return fault.Wrap(kind, err, "%q is not there", name)
	case fault.Exists:
		return fault.Wrap(kind, err, "%q exists already", name)
	case fault.Denied:
		return fault.Wrap(kind, err, "%q is closed to this server", name).
			WithHint("the account the server runs under has no right to it")
	case fault.Full:
		return fault.Wrap(kind, err, "no room for %q", name)
	default:
		return fault.Wrap(kind, err, "%q cannot be used", name)
	}
}

// explainEnd is explain, but leaves io.EOF what it is.
func explainEnd(err error, name string) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return explain(err, name)
}

// meaning is what an error number of the system says about a path.
type meaning struct {
	kind fault.Kind
	text string
}
