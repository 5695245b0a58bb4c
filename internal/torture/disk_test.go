//go:build linux

package torture_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport.dev/internal/testkit"
)

// disk is an ext4 in a file, mounted through a loop device. What its page cache has
// not written is not in the file: a copy of the file is what a power cut leaves.
type disk struct {
	t     testing.TB
	image string // the file
	dir   string // where it is mounted
	loop  string // /dev/loopN; empty while it is not mounted
}

// diskSize is enough for a journal and the files of a run, and copied in a moment.
const diskSize = 96 << 20

// newDisk makes an empty disk and mounts it until the test ends.
func newDisk(t testing.TB, name string) *disk {
	t.Helper()
	testkit.NeedRoot(t)
	for _, tool := range []string{"mkfs.ext4", "losetup", "mount", "umount"} {
		_, err := exec.LookPath(tool)
		testkit.Need(t, err == nil, tool, "scripts/needs.sh installs it")
	}
	dir := t.TempDir()
	d := &disk{t: t, image: filepath.Join(dir, name+".img"), dir: filepath.Join(dir, name)}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, diskSize); err != nil {
		t.Fatal(err)
	}
	d.run("mkfs.ext4", "-q", d.image)
	d.mount()
	t.Cleanup(d.unmount)
	return d
}

func (d *disk) run(name string, args ...string) string {
	d.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// mount mounts the disk; if it was cut, ext4 recovers by its own journal. That is
// committed when somebody syncs and not every five seconds: what survives has been
// synced by somebody. Nor does ext4 take care here of those who rename an unsynced
// file over another one, which other file systems do not either.
func (d *disk) mount() {
	d.t.Helper()
	out, err := exec.Command("losetup", "--find", "--show", d.image).CombinedOutput()
	testkit.Need(d.t, err == nil, fmt.Sprintf("a loop device (%s)", strings.TrimSpace(string(out))), "run as root outside of a container that has none")
	d.loop = strings.TrimSpace(string(out))
	d.run("mount", "-o", "commit=600,noauto_da_alloc", d.loop, d.dir)
}

// unmount unmounts the disk if it is mounted.
func (d *disk) unmount() {
	d.t.Helper()
	if d.loop == "" {
		return
	}
	d.run("umount", d.dir)
	d.run("losetup", "--detach", d.loop)
	d.loop = ""
}

// writes tells how many writes and flushes the disk has seen, and how many of its
// requests are under way (Documentation/block/stat.rst of Linux).
func (d *disk) writes() (stat string, inFlight bool) {
	d.t.Helper()
	text, err := os.ReadFile("/sys/block/" + filepath.Base(d.loop) + "/stat")
	if err != nil {
		d.t.Fatal(err)
	}
	f := strings.Fields(string(text))
	if len(f) < 17 {
		d.t.Fatalf("%s has statistics of another form: %q", d.loop, text)
	}
	return f[4] + " " + f[6] + " " + f[15], f[8] != "0"
}

// snapshot copies what the disks hold at one moment into files beside their images.
// Nothing is asked to write; if one of the disks is written to while it is copied,
// the copies are made again.
func snapshot(t testing.TB, disks []*disk) (copies []string) {
	t.Helper()
	still := func() string {
		var all []string
		for _, d := range disks {
			stat, busy := d.writes()
			if busy {
				stat = "busy"
			}
			all = append(all, stat)
		}
		return strings.Join(all, ", ")
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("the disks did not stand still for the time of a copy in %v", patience)
		}
		before := still()
		if strings.Contains(before, "busy") {
			continue
		}
		copies = nil
		for _, d := range disks {
			c := d.image + ".cut"
			if err := copySparse(c, d.image); err != nil {
				t.Fatalf("copy the image of a disk: %v", err)
			}
			copies = append(copies, c)
		}
		if still() == before {
			return copies
		}
	}
}

// copySparse copies a file without its holes.
func copySparse(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := out.Truncate(info.Size()); err != nil {
		return err
	}
	for end := int64(0); ; {
		start, err := in.Seek(end, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) {
			return nil // nothing but a hole follows
		}
		if err != nil {
			return err
		}
		if end, err = in.Seek(start, unix.SEEK_HOLE); err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, start), io.NewSectionReader(in, start, end-start)); err != nil {
			return err
		}
	}
}

// settle writes out what is in the disk's page cache, before a test begins.
func (d *disk) settle() {
	d.t.Helper()
	dir, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		d.t.Fatalf("sync %s: %v", d.dir, err)
	}
}

// replace unmounts a disk and mounts the copy in its place: the power is back.
func (d *disk) replace(copied string) {
	d.t.Helper()
	d.unmount()
	if err := os.Rename(copied, d.image); err != nil {
		d.t.Fatal(err)
	}
	d.mount()
}

// TestDiskForgets: the disks of these tests lose what was not synced, and keep what
// was.
func TestDiskForgets(t *testing.T) {
	d := newDisk(t, "disk")
	data := []byte(strings.Repeat("x", 100<<10))
	synced(t, filepath.Join(d.dir, "synced"), data)
	if err := os.WriteFile(filepath.Join(d.dir, "not"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	d.replace(snapshot(t, []*disk{d})[0])
	if got, err := os.ReadFile(filepath.Join(d.dir, "synced")); err != nil || len(got) != len(data) {
		t.Errorf("synced: got %d bytes, %v want %d", len(got), err, len(data))
	}
	if got, err := os.ReadFile(filepath.Join(d.dir, "not")); err == nil && len(got) == len(data) {
		t.Errorf("not synced, and there with %d bytes", len(got))
	}
}

// synced writes a file so that it survives a power cut.
func synced(t testing.TB, path string, data []byte) {
	t.Helper()
	write := func() error {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.Write(data); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		dir, err := os.Open(filepath.Dir(path))
		if err != nil {
			return err
		}
		defer dir.Close()
		return dir.Sync()
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
}
