package fault_test

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"sallyport.dev/internal/fault"
)

func TestKindOf(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want fault.Kind
	}{
		{"nil", nil, fault.Internal},
		{"plain", fmt.Errorf("x"), fault.Internal},
		{"wrapped_known", fmt.Errorf("a: %w", fault.New(fault.Denied, "no")), fault.Denied},
		{"outermost_known_wins", fault.Wrap(fault.Busy, fault.New(fault.Denied, "in"), "out"), fault.Busy},
		{"internal_yields_to_cause", fault.Wrap(fault.Internal, fault.New(fault.Denied, "in"), "out"), fault.Denied},
		{"not_exist", fmt.Errorf("a: %w", fs.ErrNotExist), fault.NotFound},
		{"no_space", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, fault.Full},
		{"refused", &net.OpError{Op: "dial", Err: &os.SyscallError{Syscall: "connect", Err: syscall.ECONNREFUSED}}, fault.Unreachable},
		{"deadline", os.ErrDeadlineExceeded, fault.TimedOut},
		{"canceled", context.Canceled, fault.Canceled},
		{"no_such_host", &net.DNSError{IsNotFound: true}, fault.Unreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := fault.KindOf(tt.err); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestKindNamesRoundTrip(t *testing.T) {
	for k := fault.Internal; k <= fault.Canceled; k++ {
		if got, ok := fault.ParseKind(k.String()); !ok || got != k {
			t.Errorf("ParseKind(%q) = %v, %v", k.String(), got, ok)
		}
	}
	if k, ok := fault.ParseKind("nonsense"); ok || k != fault.Internal {
		t.Errorf("ParseKind of nonsense = %v, %v", k, ok)
	}
}

func TestPublicHidesTheCause(t *testing.T) {
	err := fault.Wrap(fault.Unreachable, fmt.Errorf("dial 10.0.0.5:21: refused"), "the server cannot be reached").WithHint("is it running?")
	if got, want := fault.Public(err), "the server cannot be reached (is it running?)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := err.Error(), "the server cannot be reached: dial 10.0.0.5:21: refused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
