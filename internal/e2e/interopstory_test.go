//go:build linux

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/testkit"
)

// interopStory does all that a client does, in a folder of its own. Each step says
// what is on the server's disk.
func interopStory(s *story) {
	s.step("mkdir", s.folders)
	s.step("put", s.puts)
	s.step("get", s.gets)
	s.step("zero", s.zero)
	s.step("resume", s.resumes)
	s.step("rename", s.renames)
	s.step("delete", s.deletes)
	s.step("small", s.small)
	s.step("odd", s.odd)
}

type story struct {
	t      *testing.T
	srv    *testkit.FTPServer
	c      *ftpclient.Conn
	folder string
	trims  bool
}

// step runs one step, with its name in front of what it reports. They are no
// subtests: each needs the one before.
func (s *story) step(name string, f func() error) {
	s.t.Helper()
	if err := f(); err != nil {
		s.t.Errorf("%s: %v (hint: %s)", name, err, fault.HintOf(err))
	}
}

func (s *story) path(name string) string { return s.folder + "/" + name }

func (s *story) put(name string, content []byte, offset int64) error {
	u, err := s.c.Stor(s.t.Context(), s.path(name), offset)
	if err != nil {
		return err
	}
	if _, err := u.Write(content); err != nil {
		return errors.Join(err, u.Abort())
	}
	return u.Commit()
}

func (s *story) get(name string, offset int64) ([]byte, error) {
	d, err := s.c.Retr(s.t.Context(), s.path(name), offset)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(d)
	return b, errors.Join(err, d.Close())
}

// holds compares a file on the server's disk.
func (s *story) holds(name string, want []byte) error {
	got, err := os.ReadFile(filepath.Join(s.srv.Home, s.folder, name))
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%q holds %d bytes, which are not the %d that were sent", name, len(got), len(want))
	}
	return err
}

func (s *story) list(dir string) (map[string]ftp.Entry, error) {
	all := map[string]ftp.Entry{}
	for e, err := range s.c.List(s.t.Context(), dir) {
		if err != nil {
			return nil, err
		}
		all[e.Name] = e
	}
	return all, nil
}

func (s *story) folders() error {
	ctx := s.t.Context()
	if err := errors.Join(s.c.MakeDir(ctx, s.folder), s.c.MakeDir(ctx, s.path("empty")), s.c.MakeDir(ctx, s.path("full")), s.put("full/x", []byte("x"), 0)); err != nil {
		return err
	}
	if all, err := s.list(s.path("empty")); err != nil || len(all) != 0 {
		s.t.Errorf("an empty folder lists %v, %v", all, err)
	}
	if _, err := s.list(s.path("nowhere")); err == nil {
		s.t.Error("a folder that is not there lists without an error")
	}
	if err := s.c.RemoveDir(ctx, s.path("full")); err == nil {
		s.t.Error("a full folder was removed")
	}
	if err := s.c.RemoveDir(ctx, s.path("empty")); err != nil {
		return err
	}
	all, err := s.list(s.folder)
	if e := all["full"]; err == nil && (len(all) != 1 || e.Type != ftp.Dir) {
		s.t.Errorf("the folder lists %v", all)
	}
	return err
}

// storyBody is more than the buffers on the way hold.
var storyBody = bytes.Repeat([]byte("0123456789abcdef\r\n"), 100_000)

func (s *story) puts() error {
	if err := s.put("body", storyBody, 0); err != nil {
		return err
	}
	all, err := s.list(s.folder)
	e := all["body"]
	if err == nil && (e.Type != ftp.File || e.Size != int64(len(storyBody)) || time.Since(e.Time) < -2*time.Minute || time.Since(e.Time) > time.Hour) {
		s.t.Errorf("listed as %+v", e)
	}
	return errors.Join(err, s.holds("body", storyBody))
}

func (s *story) gets() error {
	got, err := s.get("body", 0)
	if err == nil && !bytes.Equal(got, storyBody) {
		s.t.Errorf("got %d bytes, which are not the %d that are there", len(got), len(storyBody))
	}
	if _, err := s.get("not there", 0); fault.KindOf(err) != fault.NotFound {
		s.t.Errorf("get of what is not there: %v", err)
	}
	return err
}

func (s *story) zero() error {
	if err := s.put("zero", nil, 0); err != nil {
		return err
	}
	got, err := s.get("zero", 0)
	all, lerr := s.list(s.folder)
	if e, there := all["zero"]; err == nil && (len(got) != 0 || !there || e.Size != 0) {
		s.t.Errorf("got %d bytes, listed %v as %+v", len(got), there, e)
	}
	return errors.Join(err, lerr, s.holds("zero", nil))
}

func (s *story) resumes() error {
	const at = 1_000_003
	got, err := s.get("body", at)
	if err == nil && !bytes.Equal(got, storyBody[at:]) {
		s.t.Errorf("from byte %d: %d bytes, want the last %d", at, len(got), len(storyBody)-at)
	}
	err = errors.Join(err, s.put("resumed", storyBody[:at], 0), s.put("resumed", storyBody[at:], at), s.holds("resumed", storyBody))
	u, aerr := s.c.Append(s.t.Context(), s.path("resumed"))
	if aerr == nil {
		if _, aerr = u.Write([]byte("more")); aerr == nil {
			aerr = u.Commit()
		}
	}
	return errors.Join(err, aerr, s.holds("resumed", append(bytes.Clone(storyBody), "more"...)))
}

func (s *story) renames() error {
	return errors.Join(s.c.Rename(s.t.Context(), s.path("resumed"), s.path("full/renamed")), s.holds("full/renamed", append(bytes.Clone(storyBody), "more"...)))
}

func (s *story) deletes() error {
	err := s.c.Delete(s.t.Context(), s.path("full/renamed"))
	if there, eerr := s.c.Exists(s.t.Context(), s.path("full/renamed")); there || eerr != nil {
		s.t.Errorf("deleted, and there: %v, %v", there, eerr)
	}
	return err
}

func (s *story) small() error {
	content := func(i int) []byte { return []byte(strings.Repeat(smallName(i), i%50)) }
	for i := range smallFiles() {
		if err := s.put(smallName(i), content(i), 0); err != nil {
			return err
		}
	}
	all, err := s.list(s.folder)
	if err != nil {
		return err
	}
	for i := range smallFiles() {
		got, err := s.get(smallName(i), 0)
		if err != nil {
			return err
		}
		if e := all[smallName(i)]; !bytes.Equal(got, content(i)) || e.Size != int64(len(got)) {
			s.t.Errorf("%s: got %d bytes, listed %d, want %d", smallName(i), len(got), e.Size, len(content(i)))
		}
	}
	return nil
}

// storyNames are names that clients trip over.
var storyNames = []string{"with space", " leading", "two  spaces", "trailing ", "-dash", "ümläut €", "a;b=c", "it's \"quoted\"", "100%", "#hash", "[a]*?", "na\xEFve", "226 x"}

func (s *story) odd() error {
	for _, name := range storyNames {
		if strings.HasPrefix(name, "na\xEF") && s.c.Features().UTF8 {
			continue // who promises UTF-8 may refuse it
		}
		if s.trims && strings.HasSuffix(name, " ") {
			continue
		}
		if err := s.put(name, []byte(name), 0); err != nil {
			return err
		}
		got, err := s.get(name, 0)
		all, lerr := s.list(s.folder)
		if _, there := all[name]; string(got) != name || !there {
			s.t.Errorf("%q: got %q, listed %v", name, got, there)
		}
		if err := errors.Join(err, lerr, s.holds(name, []byte(name)), s.c.Delete(s.t.Context(), s.path(name))); err != nil {
			return err
		}
	}
	return nil
}
