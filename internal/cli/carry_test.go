package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/cli"
	"sallyport.dev/internal/ftp/ftptest"
)

// say runs one command line.
func say(t *testing.T, args ...string) (code int, out, speech string) {
	t.Helper()
	var o, e bytes.Buffer
	code = cli.Run(t.Context(), args, cli.Streams{In: strings.NewReader(""), Out: &o, Err: &e})
	return code, o.String(), e.String()
}

// What a server calls its files never reaches a terminal raw.
func TestListingsAreQuoted(t *testing.T) {
	const evil = "a\x1b]0;owned\x07\x1b[2Jb"
	a := &ftptest.Awkward{Quirks: ftptest.Quirks{Listing: "type=file;size=1;modify=20240229123456; " + evil + "\r\n" +
		"type=file;size=1;modify=20240229123456; latin-\xe9\r\n" + "type=file;size=1;modify=20240229123456; plain\r\n"}}
	url := "ftp://" + a.Start(t) + "/"
	for _, args := range [][]string{{"ls", url}, {"ls", "-l", url}, {"ls", "--json", url}, {"sync", "--dry-run", url, t.TempDir()}, {"sync", url, t.TempDir()}} {
		code, out, speech := say(t, args...)
		if strings.ContainsAny(out+speech, "\x1b\x07") || strings.Contains(out+speech, "\xe9") || !strings.Contains(out+speech, "owned") {
			t.Errorf("%q: %d %q %q", args, code, out, speech)
		}
	}
	_, out, _ := say(t, "ls", "--json", "--sort", "none", url)
	var got struct {
		Name string `json:"name"`
		Raw  []byte `json:"name_bytes"`
	}
	lines := strings.Split(out, "\n")
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil || got.Name != evil {
		t.Errorf("got %q, %v", got.Name, err)
	}
	if err := json.Unmarshal([]byte(lines[1]), &got); err != nil || string(got.Raw) != "latin-\xe9" {
		t.Errorf("got %q, %v", got.Raw, err)
	}
}

// A fault of one file stops no other, and makes the exit status 3; a single one that
// fails says why.
func TestExitStatusOfCarrying(t *testing.T) {
	a := &ftptest.Awkward{Files: map[string]string{"good": "g"}, Quirks: ftptest.Quirks{
		Listing: "type=file;size=1;modify=20240229123456; good\r\ntype=file;size=1;modify=20240229123456; missing\r\n",
	}}
	addr := a.Start(t)
	dir := t.TempDir()
	code, out, speech := say(t, "sync", "ftp://"+addr+"/", dir)
	if code != 3 || !strings.Contains(out, "copy good") || !strings.Contains(out, "1 fault") || !strings.Contains(speech, "sallyport: error: missing: ") {
		t.Errorf("%d %q %q", code, out, speech)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "good")); err != nil || string(b) != "g" {
		t.Errorf("%q, %v", b, err)
	}
	code, out, speech = say(t, "sync", "--json", "ftp://"+addr+"/", dir)
	if code != 3 || !strings.Contains(out, `"action":"error","path":"missing"`) || !strings.Contains(out, `"kind":"not-found"`) {
		t.Errorf("%d %q %q", code, out, speech)
	}
	if code, _, speech = say(t, "get", "ftp://"+addr+"/missing", filepath.Join(dir, "x")); code != 1 || !strings.Contains(speech, "550") {
		t.Errorf("%d %q", code, speech)
	}
	refused := &ftptest.Awkward{Quirks: ftptest.Quirks{Answers: map[string]string{"PASS": "530 no\r\n"}}}
	t.Setenv("SALLYPORT_PASSWORD", "wrong")
	if code, _, speech = say(t, "ls", "ftp://u@"+refused.Start(t)+"/"); code != 4 || strings.Contains(speech, "wrong") {
		t.Errorf("%d %q", code, speech)
	}
}
