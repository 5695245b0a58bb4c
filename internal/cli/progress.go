package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/mirror"
)

// voice is how commands that carry files tell of it: a line for each thing done, and
// on a terminal bars for what is under way. It implements [mirror.Reporter].
type voice struct {
	say     *speaker
	json    bool
	quiet   bool
	verbose bool // also what is the same
	dryRun  bool

	bars *mpb.Progress // nil: no terminal
	out  io.Writer     // of lines

	files, bytes atomic.Int64

	mu    sync.Mutex // guards the following
	first error      // the first fault of a single file
	lost  error      // a line could not be written
}

func (v *voice) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&v.json, "json", false, "print JSON, a line for each thing done and one at the end")
	f.BoolVarP(&v.quiet, "quiet", "q", false, "print faults alone")
	f.BoolVarP(&v.verbose, "verbose", "v", false, "also print what is the same already")
}

// open begins to speak; close must be called.
func (v *voice) open(say *speaker) {
	v.say, v.out = say, say.out
	if v.json || v.quiet || v.dryRun || !say.terminal() {
		return
	}
	v.bars = mpb.New(mpb.WithOutput(say.err), mpb.ForceAutoRefresh(), mpb.WithRefreshRate(100*time.Millisecond))
	began := time.Now()
	v.bars.Add(1, nil, mpb.BarRemoveOnComplete(), mpb.BarPriority(1<<20), mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { //nolint:errcheck // it fails only when the bars are over
		n := v.bytes.Load()
		return fmt.Sprintf("%d files, %s, %s/s", v.files.Load(), sizeText(n), sizeText(int64(float64(n)/max(time.Since(began).Seconds(), 0.001))))
	})))
	if f, ok := say.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		v.out = v.bars // lines go above the bars
	}
}

func (v *voice) close() {
	if v.bars != nil {
		v.bars.Shutdown()
		v.bars = nil
	}
}

// barFrom is the size from which a file has a bar of its own.
const barFrom = 1 << 20

// Begin implements [mirror.Reporter].
func (v *voice) Begin(path string, size, offset int64) func(int64) {
	if v.bars == nil {
		return nil
	}
	var bar *mpb.Bar
	if size < 0 || size >= barFrom {
		name := decor.Name(clipName(path), decor.WC{C: decor.DindentRight | decor.DextraSpace, W: 30})
		bar = v.bars.AddBar(max(size, 0), mpb.BarRemoveOnComplete(), mpb.BarWidth(20), mpb.PrependDecorators(name),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1024(0), "  % .1f")))
		bar.SetCurrent(offset)
	}
	return func(n int64) {
		if n >= 0 {
			v.bytes.Add(n)
			if bar != nil {
				bar.IncrInt64(n)
			}
			return
		}
		if bar != nil {
			bar.Abort(true)
		}
	}
}

// clipName is the end of a path, for a bar.
func clipName(path string) string {
	const most = 30
	r := []rune(shown(path))
	if len(r) > most {
		r = append([]rune("…"), r[len(r)-most+1:]...)
	}
	return string(r)
}

// line is an event as JSON.
type line struct {
	Action  string `json:"action"`
	Path    string `json:"path"`
	Raw     []byte `json:"path_bytes,omitempty"` // base64, where the path is not UTF-8
	Folder  bool   `json:"folder,omitempty"`
	Size    *int64 `json:"size,omitempty"`
	Resumed int64  `json:"resumed,omitempty"`
	DryRun  bool   `json:"dry_run,omitempty"`
	Why     string `json:"why,omitempty"`
	Error   string `json:"error,omitempty"`
	Kind    string `json:"kind,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// Event implements [mirror.Reporter].
func (v *voice) Event(e mirror.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e.Action {
	case mirror.Copy:
		v.files.Add(1)
	case mirror.Fail:
		if v.first == nil {
			v.first = e.Err
		}
	case mirror.Same:
		if !v.verbose {
			return
		}
	case mirror.Make, mirror.Delete, mirror.Skip:
	}
	switch {
	case v.json:
		v.note(v.printJSON(e))
	case e.Action == mirror.Fail:
		v.complain(e)
	case !v.quiet:
		_, err := fmt.Fprintln(v.out, sentence(e))
		v.note(err)
	}
}

func (v *voice) note(err error) {
	if v.lost == nil {
		v.lost = err
	}
}

func (v *voice) printJSON(e mirror.Event) error {
	l := line{Action: string(e.Action), Path: e.Path, Folder: e.Folder, Resumed: e.Resumed, DryRun: v.dryRun, Why: e.Why}
	if !utf8.ValidString(e.Path) {
		l.Raw = []byte(e.Path)
	}
	if e.Size >= 0 && (e.Action == mirror.Copy || e.Action == mirror.Same) {
		l.Size = &e.Size
	}
	if e.Err != nil {
		l.Error, l.Kind, l.Hint = e.Err.Error(), fault.KindOf(e.Err).String(), fault.HintOf(e.Err)
	}
	return json.NewEncoder(v.out).Encode(l)
}

// complain prints a fault of one file, above the bars if there are some.
func (v *voice) complain(e mirror.Event) {
	text := e.Err.Error()
	if e.Path != "" {
		text = shown(e.Path) + ": " + text
	}
	var b strings.Builder
	fmt.Fprintf(&b, "sallyport: error: %s\n", strings.ReplaceAll(text, "\n", "; "))
	if hint := fault.HintOf(e.Err); hint != "" {
		fmt.Fprintf(&b, "sallyport: hint: %s\n", hint)
	}
	to := v.say.err
	if v.bars != nil {
		to = v.bars
	}
	_, err := io.WriteString(to, b.String())
	v.note(err)
}

// sentence is an event as people read it, done or in a dry run.
func sentence(e mirror.Event) string {
	name := shown(e.Path)
	if e.Folder {
		name += "/"
	}
	text := string(e.Action) + " " + name
	switch {
	case e.Why != "":
		text += ": " + e.Why
	case e.Action == mirror.Copy && e.Size >= 0:
		text += " (" + sizeText(e.Size)
		if e.Resumed > 0 {
			text += ", of which " + sizeText(e.Resumed) + " were there"
		}
		text += ")"
	}
	return text
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d bytes", n)
	}
	f := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		f /= 1024
		if f < 1024 || unit == "TiB" {
			return fmt.Sprintf("%.1f %s", f, unit)
		}
	}
	return "" // not reached
}

// finish says what was done and returns the command's error.
func (v *voice) finish(sum mirror.Summary, err error) error {
	v.close()
	if err != nil && fault.KindOf(err) == fault.Canceled {
		v.say.sayf("sallyport: the same command goes on where this one stopped")
	}
	if v.json {
		v.note(json.NewEncoder(v.say.out).Encode(struct {
			Action string `json:"action"`
			mirror.Summary
			DryRun bool   `json:"dry_run,omitempty"`
			Error  string `json:"error,omitempty"`
		}{"summary", sum, v.dryRun, errText(err)}))
	} else if !v.quiet && err == nil {
		v.note(v.say.resultf("%s", summaryText(sum, v.dryRun)))
	}
	switch {
	case err != nil:
		return err
	case v.lost != nil:
		return fault.As(v.lost, "write what was done")
	case v.first == nil:
		return nil
	case sum.Copied+sum.Same+sum.Made+sum.Deleted == 0:
		return &toldError{v.first}
	}
	return &partlyError{errors.New(plural(sum.Failed, "fault") + ", told above; the rest is done")}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func summaryText(s mirror.Summary, dryRun bool) string {
	parts := []string{plural(s.Copied, "file") + " copied (" + sizeText(s.Bytes) + ")", fmt.Sprintf("%d the same", s.Same)}
	for _, p := range []struct {
		n    int64
		text string
	}{{s.Made, plural(s.Made, "folder") + " made"}, {s.Deleted, fmt.Sprintf("%d deleted", s.Deleted)}, {s.Skipped, fmt.Sprintf("%d left out", s.Skipped)}, {s.Failed, plural(s.Failed, "fault")}} {
		if p.n > 0 {
			parts = append(parts, p.text)
		}
	}
	text := strings.Join(parts, ", ")
	if dryRun {
		text += "; nothing was done (--dry-run)"
	}
	return text
}
