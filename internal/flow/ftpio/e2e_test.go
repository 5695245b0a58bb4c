package ftpio_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport.dev/internal/expr"
	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/ftpio"
	"sallyport.dev/internal/flow/jetstream"
	"sallyport.dev/internal/testkit"
)

// TestBothWays carries files from a real server to a folder and from a folder to
// the server, over a journal on disk.
func TestBothWays(t *testing.T) {
	srv, remote := peer(t, testkit.Vsftpd)
	src, dst := disk(t.TempDir()), disk(t.TempDir())
	archive, err := expr.ParseTemplate("archive/${now.Format('2006')}/${file.name}")
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string][]byte)
	for i, n := range []int{0, 1, 4096, 300_000, 5 << 20} {
		name := fmt.Sprintf("-file %d ü.xml", i)
		want[name] = bytes.Repeat([]byte{byte('a' + i)}, n)
		remote.putOwned(t, name, want[name], time.Now().Add(-time.Hour))
	}
	carryAll(t, flow.Flow{
		Name: "out", Source: &ftpio.FTPSource{FTPServer: srv, Match: "*.xml"},
		Sinks: []flow.Delivery{{Sink: &ftpio.LocalSink{Path: string(src)}}},
		Ready: flow.Ready{When: flow.Unchanged, For: 100 * time.Millisecond},
		After: flow.After{Do: flow.Delete}, Concurrency: 2,
	}, len(want))
	for name, data := range want {
		if got, _ := src.get(t, name); !bytes.Equal(got, data) {
			t.Errorf("%q came with %d bytes want %d", name, len(got), len(data))
		}
		if _, there := remote.get(t, name); there {
			t.Errorf("%q is still on the server", name)
		}
	}
	srv.Directory = "out/in"
	carryAll(t, flow.Flow{
		Name: "in", Source: &ftpio.LocalSource{Path: string(src)},
		Sinks: []flow.Delivery{
			{Sink: &ftpio.FTPSink{FTPServer: srv}},
			{Sink: &ftpio.LocalSink{Path: string(dst)}},
		},
		Ready: flow.Ready{When: flow.Always},
		After: flow.After{Do: flow.Move, To: archive},
	}, len(want))
	for name, data := range want {
		archived := filepath.Join("archive", time.Now().Format("2006"), name)
		for _, place := range []struct {
			d    disk
			name string
		}{{remote, filepath.Join("in", name)}, {dst, name}, {src, archived}} {
			if got, _ := place.d.get(t, place.name); !bytes.Equal(got, data) {
				t.Errorf("%s/%q has %d bytes want %d", place.d, place.name, len(got), len(data))
			}
		}
	}
}

const childEnv = "SALLYPORT_TEST_FLOW_DIR"

// childFlow is the flow of the process that gets killed.
func childFlow(dir string) flow.Flow {
	return flow.Flow{
		Name: "killed", Concurrency: 4, Every: time.Second,
		Source: &ftpio.LocalSource{Path: filepath.Join(dir, "src")},
		Sinks:  []flow.Delivery{{Sink: &ftpio.LocalSink{Path: filepath.Join(dir, "dst")}}},
		Ready:  flow.Ready{When: flow.Always},
		After:  flow.After{Do: flow.Delete},
	}
}

// TestMain is the process that gets killed, when it is asked to be.
func TestMain(m *testing.M) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := child(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child carries files until the source is empty and nothing is open.
func child(dir string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	j, err := jetstream.Open(ctx, jetstream.Options{Dir: filepath.Join(dir, "journal")})
	if err != nil {
		return err
	}
	r := flow.Runner{Journal: j, Flows: []flow.Flow{childFlow(dir)}}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		left, err := os.ReadDir(filepath.Join(dir, "src"))
		if err != nil {
			return err
		}
		if s := r.Snapshot()[0]; len(left) == 0 && s.Open == 0 && !s.LastPoll.IsZero() {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		return err
	}
	return j.Close()
}

// TestKilled kills a real process with a journal on disk, again and again.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	want := make(map[string]string)
	for _, d := range []string{"src", "dst"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range 400 {
		name := fmt.Sprintf("%d.xml", i)
		want[name] = strings.Repeat(name, rng.IntN(5_000))
		disk(filepath.Join(dir, "src")).put(t, name, []byte(want[name]), time.Now())
	}
	kills := 0
	for {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		var out bytes.Buffer
		cmd.Stderr, cmd.Stdout = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		limit := time.Minute
		if kills < 10 {
			limit = 40*time.Millisecond + time.Duration(rng.IntN(200))*time.Millisecond
		}
		timer := time.NewTimer(limit)
		select {
		case err := <-ended:
			timer.Stop()
			if err != nil {
				t.Fatalf("seed %d, after %d kills: %v\n%s", seed, kills, err, out.String())
			}
		case <-timer.C:
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			<-ended
			if kills++; kills > 10 {
				t.Fatalf("seed %d: not done within a minute\n%s", seed, out.String())
			}
			continue
		}
		break
	}
	names, err := os.ReadDir(filepath.Join(dir, "dst"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != len(want) {
		t.Errorf("seed %d: the sink has %d names want %d", seed, len(names), len(want))
	}
	for name, data := range want {
		if got, _ := disk(filepath.Join(dir, "dst")).get(t, name); string(got) != data {
			t.Errorf("seed %d: %s has %d bytes want %d", seed, name, len(got), len(data))
		}
	}
	t.Logf("seed %d: %d files through %d kills", seed, len(want), kills)
}
