package bench_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"sallyport.dev/internal/testkit"
)

// programEnv names what the test program is to be instead of a test: one of programs.
const programEnv = "SALLYPORT_BENCH_PROGRAM"

// programs are what measures, each in a process of its own: it gets a job on its
// standard input, says "ready", and gives its results once it has read "go".
var programs = map[string]func(p *program) error{}

func TestMain(m *testing.M) {
	name := os.Getenv(programEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	p := &program{in: bufio.NewReader(os.Stdin)}
	if err := programs[name](p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// program is the end of a conversation with the test that started it.
type program struct{ in *bufio.Reader }

// job reads what is to be done.
func (p *program) job(v any) error {
	line, err := p.in.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// ready says that what follows is what is measured, and waits for the word.
func (p *program) ready() error {
	fmt.Println("ready")
	_, err := p.in.ReadBytes('\n')
	return err
}

// done gives the results and waits until they were taken and the process may go.
func (p *program) done(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	if _, err := p.in.ReadBytes('\n'); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// running is a program as the test sees it.
type running struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
	errs  *strings.Builder
}

// startProgram starts a program on the cores given, in the network of server, and
// returns when it is ready.
func startProgram(t *testing.T, name, netns string, cores []int, job any) *running {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{self}
	if netns != "" {
		args = []string{"ip", "netns", "exec", netns, self}
	}
	r := &running{cmd: exec.CommandContext(t.Context(), args[0], args[1:]...), errs: &strings.Builder{}}
	r.cmd.Env = append(os.Environ(), programEnv+"="+name)
	r.cmd.Stderr = r.errs
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewReader(stdout)
	pinned(t, cores, func() { err = r.cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	r.say(t, string(line))
	if said := r.hear(t); said != "ready\n" {
		t.Fatalf("%s said %q, want ready", name, said)
	}
	return r
}

func (r *running) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(r.stdin, line+"\n"); err != nil {
		t.Fatalf("%v: %s", err, r.errs)
	}
}

func (r *running) hear(t *testing.T) string {
	t.Helper()
	line, err := r.out.ReadString('\n')
	if err != nil {
		_ = r.cmd.Wait() // what it wrote says why
		t.Fatalf("the program that measures ended: %v: %s", err, r.errs)
	}
	return line
}

// measure lets the program go and returns when it is done, having filled v.
func (r *running) measure(t *testing.T, v any) {
	t.Helper()
	r.say(t, "go")
	if err := json.Unmarshal([]byte(r.hear(t)), v); err != nil {
		t.Fatal(err)
	}
}

// end lets the program end.
func (r *running) end(t *testing.T) {
	t.Helper()
	if err := errors.Join(r.stdin.Close(), r.cmd.Wait()); err != nil {
		t.Fatalf("the program that measures: %v: %s", err, r.errs)
	}
}

// pinned runs start with this thread on the cores given, which a process that it
// starts takes over.
func pinned(t *testing.T, cores []int, start func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, mask [128]byte // of 1024 cores
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, uintptr(len(before)), uintptr(unsafe.Pointer(&before))); errno != 0 {
		t.Fatal(errno)
	}
	for _, core := range cores {
		mask[core/8] |= 1 << (core % 8)
	}
	set := func(m *[128]byte) {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, uintptr(len(m)), uintptr(unsafe.Pointer(m))); errno != 0 {
			t.Fatal(errno)
		}
	}
	set(&mask)
	defer set(&before)
	start()
}

var networks atomic.Int64 // made so far, each under a name of its own

// network makes a network of its own, with a loopback and nothing else, until the
// test ends: what others left in TIME_WAIT does not matter in it.
func network(t *testing.T) string {
	t.Helper()
	testkit.NeedRoot(t)
	ip, err := exec.LookPath("ip")
	testkit.Need(t, err == nil, "ip", "install iproute2")
	name := fmt.Sprintf("sallyport-bench-%d-%d", os.Getpid(), networks.Add(1))
	for _, args := range [][]string{{"netns", "add", name}, {"-n", name, "link", "set", "lo", "up"}} {
		if out, err := exec.Command(ip, args...).CombinedOutput(); err != nil {
			testkit.Need(t, false, "the right to make a network", string(out))
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command(ip, "netns", "del", name).CombinedOutput(); err != nil {
			t.Errorf("remove the network: %v: %s", err, out)
		}
	})
	return name
}

// cpu is how long the process pid and those that descend from it have run. A process
// that ended meanwhile is missing: sessions of other servers live as long as the meter.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	var sum time.Duration
	for _, p := range family(t, pid) {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			text, err := os.ReadFile(task)
			if err != nil {
				continue // ended meanwhile
			}
			ran, _, _ := strings.Cut(string(text), " ")
			ns, err := strconv.ParseInt(ran, 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", task, err)
			}
			sum += time.Duration(ns)
		}
	}
	return sum
}

// family is pid and all that descend from it.
func family(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]int{}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid; the name may contain anything.
		var state string
		var child, parent int
		i := strings.LastIndexByte(string(text), ')')
		if _, err := fmt.Sscanf(string(text[i+1:]), "%s %d", &state, &parent); err != nil {
			t.Fatalf("%s: %v", stat, err)
		}
		if child, err = strconv.Atoi(filepath.Base(filepath.Dir(stat))); err != nil {
			t.Fatal(err)
		}
		children[parent] = append(children[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}
