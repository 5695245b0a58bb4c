package account

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

func TestMemoForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemo()
		mark := m.mark("a", "hash", secret.New("x"))
		m.add(mark)
		if other := m.mark("a", "new hash", secret.New("x")); m.has(other) {
			t.Error("a changed hash is remembered")
		}
		time.Sleep(rememberFor - time.Second) // fake time
		if !m.has(mark) {
			t.Error("forgotten too early")
		}
		time.Sleep(time.Second)
		if m.has(mark) {
			t.Errorf("remembered after %s", rememberFor)
		}
	})
}

func TestMemoIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemo()
		for i := range 2 * remembered {
			var mark [32]byte
			binary.BigEndian.PutUint64(mark[:], uint64(i))
			m.add(mark)
			time.Sleep(time.Millisecond) // fake time
			if !m.has(mark) {
				t.Fatalf("entry %d is not remembered", i)
			}
		}
		if got := len(m.till); got != remembered {
			t.Errorf("got %d entries, want %d", got, remembered)
		}
	})
}

func TestMarksAreApart(t *testing.T) {
	m := newMemo()
	if m.mark("ab", "c", secret.New("d")) == m.mark("a", "bc", secret.New("d")) {
		t.Error("name and hash run together")
	}
	if m.mark("a", "b", secret.New("c")) == newMemo().mark("a", "b", secret.New("c")) {
		t.Error("two stores have one key")
	}
}

func TestQueueIsBounded(t *testing.T) {
	s, err := NewStore([]Account{{Name: "a", Hash: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"}})
	if err != nil {
		t.Fatal(err)
	}
	for range maxWaiting {
		s.queue <- struct{}{}
	}
	for _, name := range []string{"a", "nobody"} {
		if err := s.Authenticate(t.Context(), name, secret.New("x")); fault.KindOf(err) != fault.Busy {
			t.Errorf("%s: got %v, want %s", name, err, fault.Busy)
		}
	}
}
