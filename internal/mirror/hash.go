package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"

	"sallyport.dev/internal/fault"
)

// identical reports whether two files need not be told apart.
func (s *Sync) identical(ctx context.Context, from, to string, src, dst Entry) (bool, error) {
	switch {
	case s.Force:
		return false, nil
	case !s.Checksum:
		return s.same(src, dst), nil
	case src.Size != dst.Size:
		return false, nil
	}
	a, err := s.sumOf(ctx, s.From, from)
	if err != nil {
		return false, err
	}
	b, err := s.sumOf(ctx, s.To, to)
	return bytes.Equal(a, b), err
}

// sumOf reads a file.
func (s *Sync) sumOf(ctx context.Context, st Store, name string) (sum []byte, err error) {
	err = s.again(ctx, func() error {
		r, err := st.Open(ctx, name, 0)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = Pump(h, r, nil)
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		sum = h.Sum(nil)
		return err
	})
	if err != nil {
		return nil, fault.As(err, "read %q to compare it", name)
	}
	return sum, nil
}
