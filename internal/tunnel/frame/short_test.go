package frame_test

import (
	"bytes"
	"strings"
	"testing"

	"sallyport.dev/internal/tunnel/frame"
)

// TestLengthOf255: the longest length that its byte can say is no more than a
// length.
func TestLengthOf255(t *testing.T) {
	open, err := frame.AppendOpen(nil, frame.Open{Host: "h", Port: 1, Principal: strings.Repeat("p", frame.MaxPrincipal)})
	if err != nil {
		t.Fatal(err)
	}
	o, err := frame.ParseOpen(open[3:])
	if err != nil || len(o.Principal) != frame.MaxPrincipal {
		t.Errorf("got a principal of %d bytes, %v, want %d", len(o.Principal), err, frame.MaxPrincipal)
	}
	for _, n := range []int{255, 256, 400} {
		body := bytes.Repeat([]byte{255}, n)
		if _, err := frame.ParseStatus(body); err == nil {
			t.Errorf("a status of %d bytes 255 was taken", n)
		}
		if _, err := frame.ParseOpen(body); err == nil {
			t.Errorf("an open of %d bytes 255 was taken", n)
		}
	}
}
