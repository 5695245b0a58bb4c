package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport.dev/internal/fault"
)

// sample is one file on its way.
type sample struct {
	name    string
	toCloud bool // from the plant's out/ to the cloud; else from the cloud's outbox to the plant's in/
	size    int64
	sum     string // SHA-256, hex
}

var sampleFiles = []struct {
	name    string
	toCloud bool
	body    func() io.Reader
}{
	{"order-1001.xml", true, text("<order id=\"1001\"><item>sally port hinge</item></order>\n")},
	{"Größe und Maß.csv", true, text("Größe;Maß\n12;3,5\n")},
	{"-leading-dash.txt", true, text("names may start with a dash\n")},
	{"empty.done", true, text("")},
	{"drawing.bin", true, random(1, 8<<20)},
	{"invoice-7.pdf", false, random(2, 300_000)},
	{"two  spaces.txt", false, text("and two spaces in their midst\n")},
	{"catalogue.bin", false, random(3, 4<<20)},
}

func text(s string) func() io.Reader { return func() io.Reader { return strings.NewReader(s) } }

func random(seed byte, size int64) func() io.Reader {
	return func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size) }
}

// makeSamples puts the samples where their journeys begin.
func makeSamples(out, outbox string) ([]sample, error) {
	var all []sample
	for _, f := range sampleFiles {
		dir := outbox
		if f.toCloud {
			dir = out
		}
		h := sha256.New()
		n, err := writeFile(filepath.Join(dir, f.name), io.TeeReader(f.body(), h))
		if err != nil {
			return nil, fault.As(err, "make sample %q", f.name)
		}
		all = append(all, sample{f.name, f.toCloud, n, hex.EncodeToString(h.Sum(nil))})
	}
	return all, nil
}

func writeFile(path string, r io.Reader) (int64, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, r)
	return n, errors.Join(err, f.Close())
}

// arrival is what is known of a sample at its destination.
type arrival struct {
	sample
	there bool
	whole bool          // byte for byte
	after time.Duration // since the start
}

// await waits until every sample is there, at most [Patience] from the start.
func (s *stage) await(ctx context.Context) ([]arrival, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(time.Until(s.began.Add(Patience)))
	defer deadline.Stop()
	all := make([]arrival, len(s.samples))
	for i := range all {
		all[i].sample = s.samples[i]
	}
	for {
		missing := 0
		for i := range all {
			if err := s.look(&all[i]); err != nil {
				return nil, err
			}
			if !all[i].there {
				missing++
			}
		}
		if missing == 0 {
			return all, nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return all, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// look looks for one sample under its final name. A file has that name only when
// it is whole, so what is there is compared once.
func (s *stage) look(a *arrival) error {
	if a.there {
		return nil
	}
	sum, err := sumFile(filepath.Join(s.destination(a.toCloud), a.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.As(err, "read sample %q where it arrived", a.name)
	}
	a.there, a.whole, a.after = true, sum == a.sum, time.Since(s.began)
	return nil
}

func (s *stage) destination(toCloud bool) string {
	if toCloud {
		return s.path("cloud", "orders")
	}
	return s.path("plant", "in")
}

func sumFile(path string) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// table prints what has arrived.
func (s *stage) table(all []arrival) error {
	if err := s.Result("%-14s  %-20s %9s  %-12s  %s", "DIRECTION", "FILE", "BYTES", "SHA-256", "RESULT"); err != nil {
		return err
	}
	for _, a := range all {
		direction, result := "cloud > plant", "missing"
		if a.toCloud {
			direction = "plant > cloud"
		}
		switch {
		case a.whole:
			result = "whole, after " + a.after.Round(10*time.Millisecond).String()
		case a.there:
			result = "not the same bytes"
		}
		if err := s.Result("%-14s  %-20s %9d  %.12s  %s", direction, a.name, a.size, a.sum, result); err != nil {
			return err
		}
	}
	return nil
}

// verdict is the outcome of --once.
func (s *stage) verdict(all []arrival) error {
	good := 0
	for _, a := range all {
		if a.whole {
			good++
		}
	}
	if good < len(all) {
		return fault.New(fault.TimedOut, "%d of %d samples have arrived whole in %v", good, len(all), Patience).
			WithHint("run it with --dir DIR and read DIR/log")
	}
	return s.Result("%d of %d samples arrived byte for byte in %v.", good, len(all), time.Since(s.began).Round(10*time.Millisecond))
}

// watch tells of files that arrive after the samples, until ctx ends.
func (s *stage) watch(ctx context.Context) error {
	told := make(map[string]bool)
	for _, a := range s.samples {
		told[filepath.Join(s.destination(a.toCloud), a.name)] = true
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, dir := range []string{s.destination(true), s.destination(false)} {
			there, err := os.ReadDir(dir)
			if err != nil {
				return fault.As(err, "look for arrivals")
			}
			for _, e := range there {
				path := filepath.Join(dir, e.Name())
				if !told[path] && !strings.HasPrefix(e.Name(), ".") {
					told[path] = true
					s.Say("arrived: %s", path)
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
