package secret_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

func TestTextNeverPrints(t *testing.T) {
	s := secret.New("hunter2")
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "in", struct{ S secret.Text }{s})
	j, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{
		fmt.Sprint(s), fmt.Sprintf("%s %v %+v %#v %q %x", s, s, s, s, s, s),
		fmt.Sprintf("%+v", struct{ S secret.Text }{s}), string(j), log.String(),
	} {
		if strings.Contains(got, "hunter2") || strings.Contains(got, "68756e746572") {
			t.Errorf("secret printed: %q", got)
		}
	}
	if s.Reveal() != "hunter2" {
		t.Error("Reveal lost the secret")
	}
}

func TestRefs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("from file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET_TEST", "from env")
	for ref, want := range map[string]string{"env:SECRET_TEST": "from env", "file:" + file: "from file"} {
		r, err := secret.ParseRef(ref)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Resolve()
		if err != nil || got.Reveal() != want {
			t.Errorf("%s: got %q, %v, want %q", ref, got.Reveal(), err, want)
		}
	}
	if _, err := secret.ParseRef("hunter2"); fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a literal must be refused and not repeated, got %v", err)
	}
	r, err := secret.ParseRef("env:SECRET_TEST_MISSING")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resolve(); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v, want not-found", err)
	}
}

func TestReadIsBounded(t *testing.T) {
	_, err := secret.Read(strings.NewReader(strings.Repeat("x", secret.MaxLen+1)))
	if fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v, want invalid", err)
	}
}
