//go:build linux

package torture_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"sallyport.dev/internal/testkit"
)

// life is one process of the program.
type life struct {
	r      *rig
	cmd    *exec.Cmd
	halted chan string   // gets the arrow that it says it has halted at
	ended  chan struct{} // closed when it has ended
	err    error         // how, before ended is closed

	mu   sync.Mutex // guards the following
	said strings.Builder
}

// start starts the program: the shipped one, or the one that halts at an arrow.
func (r *rig) start(e end) *life {
	r.t.Helper()
	program := r.shipped
	if e.arrow != "" {
		program = testkit.Binary(r.t, "torture")
	}
	l := &life{r: r, cmd: exec.Command(program, "run", "-c", r.doc), halted: make(chan string, 1), ended: make(chan struct{})}
	if e.arrow != "" {
		l.cmd.Env = append(l.cmd.Environ(), "SALLYPORT_HALT="+e.arrow, fmt.Sprintf("SALLYPORT_HALT_TIMES=%d", e.times))
	}
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	stderr, err := l.cmd.StderrPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		r.t.Fatalf("start %s: %v", filepath.Base(program), err)
	}
	go func() { // ends with the process, and everybody who starts a life waits for its end
		defer close(l.ended)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			if rest, ok := strings.CutPrefix(s.Text(), "torture: halted at "); ok {
				arrow, _, _ := strings.Cut(rest, " ")
				l.halted <- arrow
			}
			l.mu.Lock()
			l.said.WriteString(s.Text() + "\n")
			l.mu.Unlock()
		}
		l.err = l.cmd.Wait()
	}()
	return l
}

// await waits until the moment at which the life is to end, and reports whether the
// program got there alive.
func (l *life) await(e end, w *watch) bool {
	l.r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	begun0, arrived0, _ := w.state()
	var rewritten <-chan struct{}
	if e.kind == atRewrite {
		rewritten = l.r.rewrites(l.ended)
	}
	for waiting := e.arrow != "" || e.kind != atStart; waiting; {
		begun, arrived, changed := w.state()
		if e.arrow != "" {
			changed = nil // its own word is waited for
		} else if e.kind == atBeginning && begun-begun0 >= e.count || e.kind >= atArrival && arrived-arrived0 >= e.count {
			break
		}
		select {
		case <-changed:
		case <-rewritten:
			l.r.rewrote = true
			return true
		case arrow := <-l.halted:
			if arrow != e.arrow {
				l.r.t.Errorf("halted at %q, asked for %q", arrow, e.arrow)
			}
			waiting = false
		case <-l.ended:
			l.r.t.Errorf("the program ended by itself: %v", l.err)
			return false
		case <-deadline.C:
			l.r.t.Errorf("the moment did not come in %v: %v", patience, e)
			return false
		}
	}
	later := time.NewTimer(e.later)
	defer later.Stop()
	select {
	case <-later.C:
		return true
	case <-l.ended:
		l.r.t.Errorf("the program ended by itself: %v", l.err)
		return false
	}
}

// freeze stops every thread of the program where it is. One that waits for the disk
// stops when it has its answer.
func (l *life) freeze() {
	l.r.t.Helper()
	_ = l.cmd.Process.Signal(syscall.SIGSTOP) // if it has ended, nothing is there to stop
	l.r.until("the program stands still", func() (bool, error) {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", l.cmd.Process.Pid))
		for _, name := range stats {
			text, err := os.ReadFile(name)
			if err != nil {
				return false, err
			}
			// pid (name) state ...; the name may have anything in it
			if _, rest, _ := strings.Cut(string(text), ") "); !strings.HasPrefix(rest, "T") {
				return false, fmt.Errorf("a thread is %.1q", rest)
			}
		}
		return true, err
	})
}

// kill ends the life as nobody can refuse, and keeps what it said.
func (l *life) kill() {
	_ = l.cmd.Process.Kill() // it may have ended
	<-l.ended
	l.keep()
}

// stop asks the program to end and holds it to that.
func (l *life) stop() {
	l.r.t.Helper()
	_ = l.cmd.Process.Signal(syscall.SIGTERM) // it may have ended, which is seen below
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case <-l.ended:
		if l.err != nil {
			l.r.t.Errorf("the program was asked to stop: %v", l.err)
		}
	case <-deadline.C:
		l.r.t.Errorf("the program does not stop in %v", patience)
		_ = l.cmd.Process.Kill()
		<-l.ended
	}
	l.keep()
}

// says reports whether the life has said something.
func (l *life) says(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.said.String(), text)
}

// keep adds what the life said to what is shown when the run fails.
func (l *life) keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.r.said.WriteString(l.said.String())
}

// interrupt asks the program to stop and gives it a part of the time that e has,
// so that the kill comes while it stops.
func (l *life) interrupt(e end) {
	_ = l.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	later := time.NewTimer(e.later / 2)
	defer later.Stop()
	select {
	case <-later.C:
	case <-l.ended:
	}
}
