package ftpclient_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/ftp/ftptest"
	"sallyport.dev/internal/secret"
	"sallyport.dev/internal/testkit"
)

// TestOutOfStep has replies that do not belong where they come. The connection
// ends, and no reply is taken for another command's.
func TestOutOfStep(t *testing.T) {
	for verb, answer := range map[string]string{
		"SIZE": "226 transfer complete\r\n",
		"NOOP": "250 fine\r\n226 transfer complete\r\n",
		"DELE": "150 opening\r\n",
		"RNFR": "250 renamed already\r\n",
		"EPSV": "227 no (10,0,0,1,1,1)\r\n",
		"RETR": "229 (|||5|)\r\n",
		"STOR": "226 stored\r\n",
		"PWD":  "garbage\r\n",
		"MDTM": "99 too short\r\n",
		"MKD":  "",
	} {
		t.Run(verb, func(t *testing.T) {
			a := &ftptest.Awkward{Files: map[string]string{"f": "content"}, Quirks: ftptest.Quirks{Answers: map[string]string{verb: answer}}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					err := provoke(t.Context(), c, verb)
					if verb == "NOOP" { // the second reply is found at the next command
						err = errors.Join(err, c.Delete(t.Context(), "f"))
					}
					if err == nil || c.Usable() {
						t.Errorf("got %v, usable %v", err, c.Usable())
					}
					if _, there := a.File("f"); !there {
						t.Error("a command was sent on a connection that is out of step")
					}
				})
			})
		})
	}
}

// provoke calls what sends verb.
func provoke(ctx context.Context, c *ftpclient.Conn, verb string) error {
	var err error
	switch verb {
	case "SIZE":
		_, err = c.Size(ctx, "f")
	case "NOOP":
		err = c.Noop(ctx)
	case "DELE":
		err = c.Delete(ctx, "f")
	case "RNFR":
		err = c.Rename(ctx, "f", "g")
	case "EPSV", "RETR":
		_, err = read(ctx, c, "f", 0)
	case "STOR":
		err = write(ctx, c, "up", "x", 0)
	case "PWD":
		_, err = c.Pwd(ctx)
	case "MDTM":
		_, err = c.ModTime(ctx, "f")
	case "MKD":
		err = c.MakeDir(ctx, "d")
	}
	return err
}

// TestBounds has the server talk without end.
func TestBounds(t *testing.T) {
	for name, answer := range map[string]string{
		"line":  "213 " + strings.Repeat("1", 100000) + "\r\n",
		"lines": "213-" + strings.Repeat("213-x\r\n", 100000),
	} {
		a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"SIZE": answer}}}
		onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				if _, err := c.Size(t.Context(), "f"); fault.KindOf(err) != fault.Invalid || c.Usable() || len(err.Error()) > 1000 {
					t.Errorf("%s: got %v, usable %v", name, err, c.Usable())
				}
			})
		})
	}
}

func TestBadListings(t *testing.T) {
	const good = "type=file;size=1; good\r\n"
	for name, lines := range map[string]string{
		"slash":    good + "type=file; ../../etc/passwd\r\n",
		"garbage":  good + "what is this\r\n",
		"nul":      good + "type=file; a\x00b\r\n",
		"no-end":   good + "type=file; cut sho",
		"too-long": good + "type=file; " + strings.Repeat("x", 20000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := &ftptest.Awkward{Quirks: ftptest.Quirks{Listing: lines}}
			onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
				dialIn(t, cfg, func(c *ftpclient.Conn) {
					n, err := count(t.Context(), c, "")
					if n != 1 || err == nil {
						t.Errorf("%d entries, %v", n, err)
					}
					if err := c.Noop(t.Context()); err != nil {
						t.Errorf("afterwards: %v", err)
					}
				})
			})
		})
	}
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Listing: "type=cdir; .\r\ntype=pdir; ..\r\ntype=dir; ..\r\n\r\n" + good}}
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			if n, err := count(t.Context(), c, ""); n != 1 || err != nil {
				t.Errorf("%d entries, %v", n, err)
			}
		})
	})
}

// TestEmptyList holds that 226 to LIST of what is not there is no empty directory.
func TestEmptyList(t *testing.T) {
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Features: []string{"SIZE"}}} // and no files
	onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
		dialIn(t, cfg, func(c *ftpclient.Conn) {
			if n, err := count(t.Context(), c, "/"); n != 0 || err != nil {
				t.Errorf("empty directory: %d, %v", n, err)
			}
			if n, err := count(t.Context(), c, "nowhere"); fault.KindOf(err) != fault.NotFound {
				t.Errorf("no directory: %d, %v", n, err)
			}
		})
	})
}

// TestUnasked has a server answer NOOP twice, each time. Without a look at what
// came meanwhile, every command would be given the answer of the one before.
func TestUnasked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what came meanwhile is looked at on Linux only")
	}
	testkit.NoLeaks(t)
	for name, row := range map[string]struct {
		answer string
		kind   fault.Kind
	}{
		"twice":  {"200 first\r\n200 second, unasked\r\n", fault.Invalid},
		"idle":   {"200 first\r\n421 idle\r\n{hang up}", fault.Unreachable},
		"hangup": {"200 first\r\n{hang up}", fault.Unreachable},
	} {
		a := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"NOOP": row.answer}}}
		c := dial(t, ftpclient.Config{Addr: a.Start(t), User: "me", Password: secret.New("x")})
		var err error
		for range 10000 { // until the second answer is there
			if err = c.Noop(t.Context()); err != nil {
				break
			}
		}
		if fault.KindOf(err) != row.kind || c.Usable() {
			t.Errorf("%s: got %v (%v), usable %v", name, err, fault.KindOf(err), c.Usable())
		}
	}
}

// TestSaysNothingToACut has servers that say nothing, or only half of it, to a
// transfer that was given up, as Pure-FTPd does. NOOP finds the place again.
func TestSaysNothingToACut(t *testing.T) {
	for name, said := range map[string]string{
		"nothing":     "",
		"second-150":  "150 0.001 seconds\r\n",
		"both":        "150 0.001 seconds\r\n426 cut\r\n",
		"as-it-ought": "426 cut\r\n",
	} {
		a := &ftptest.Awkward{
			Files:  map[string]string{"f": strings.Repeat("content", 100000)},
			Quirks: ftptest.Quirks{ToCut: &said},
		}
		onAwkward(t, a, func(t *testing.T, cfg ftpclient.Config) {
			dialIn(t, cfg, func(c *ftpclient.Conn) {
				for range 3 {
					d, err := c.Retr(t.Context(), "f", 0)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if _, err := d.Read(make([]byte, 10)); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if err := d.Close(); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				if n, err := c.Size(t.Context(), "f"); err != nil || n != 700000 {
					t.Errorf("%s: afterwards %d, %v", name, n, err)
				}
			})
		})
	}
}
