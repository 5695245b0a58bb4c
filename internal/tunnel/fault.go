package tunnel

import (
	"errors"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/frame"
)

// StatusOf returns what may be said of err to the other end: kind, public text
// and hint, never a cause.
func StatusOf(err error) frame.Status {
	s := frame.Status{Kind: fault.KindOf(err).String(), Hint: frame.Clean(fault.HintOf(err), frame.MaxText)}
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Text != "" {
		s.Text = frame.Clean(f.Text, frame.MaxText)
	} else {
		s.Text = s.Kind
	}
	return s
}

// Refused returns the error that s tells of. A kind that this program does not
// know is [fault.Internal].
func Refused(s frame.Status) *fault.Error {
	kind, _ := fault.ParseKind(s.Kind)
	return &fault.Error{Kind: kind, Text: s.Text, Hint: s.Hint}
}
