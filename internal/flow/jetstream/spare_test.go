package jetstream_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/jetstream"
)

// TestReplacedBlock: the server makes a block of records smaller by renaming another
// file over it. After a power cut the name may be there without the content; nothing
// that was written down is lost.
func TestReplacedBlock(t *testing.T) {
	dir := t.TempDir()
	blocks := filepath.Join(dir, "jetstream", "$G", "streams", "KV_transfers", "msgs")
	spares := filepath.Join(dir, "synced", "KV_transfers")
	const n = 20
	id := func(i int) string { return fmt.Sprintf("f.%032x", i) }
	write := func(j *jetstream.Journal, from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			claims, err := j.Claim(t.Context(), []flow.Transfer{{ID: id(i), Flow: "f", State: flow.Claimed}})
			if err != nil {
				t.Fatal(err)
			}
			claims[0].Transfer.State = flow.Intent
			if err := j.Update(t.Context(), &claims[0].Transfer); err != nil {
				t.Fatal(err)
			}
		}
	}
	j := open(t, dir)
	write(j, 0, n)
	// The same block under two names, and what comes into force later does so, too.
	same := func() bool {
		a, aerr := os.Stat(filepath.Join(blocks, "1.blk"))
		b, berr := os.Stat(filepath.Join(spares, "1.blk"))
		return aerr == nil && berr == nil && os.SameFile(a, b)
	}
	if !same() {
		t.Fatal("the block has no second name")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(blocks, "1.new")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(empty, filepath.Join(blocks, "1.blk")); err != nil {
		t.Fatal(err)
	}
	// A second name that was being made when the power failed is worth nothing.
	if err := os.WriteFile(filepath.Join(spares, "1.blk.new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir)
	for i := range n {
		if got, err := j.Get(t.Context(), id(i)); err != nil || got.State != flow.Intent {
			t.Errorf("%s: got state %v, %v want intent", id(i), got.State, err)
		}
	}
	write(j, n, n+1)
	if !same() {
		t.Error("once written to, the block has no second name")
	}
}
