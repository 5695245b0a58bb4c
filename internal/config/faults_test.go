package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/testkit"
)

// faultsOf returns what is wrong with text, warnings included.
func faultsOf(t testing.TB, file, text string) config.Faults {
	t.Helper()
	doc, err := config.Parse(file, []byte(text))
	if err == nil {
		return doc.Warnings
	}
	var fs config.Faults
	if !errors.As(err, &fs) {
		t.Fatalf("got %T %v, want faults", err, err)
	}
	if got := fault.KindOf(err); got != fault.Invalid {
		t.Errorf("got kind %s, want %s", got, fault.Invalid)
	}
	return fs
}

// Every faulty document of testdata has its faults beside it.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("got %v, %v", files, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			fs := faultsOf(t, name, string(text))
			got := fs.Error()
			if len(fs) > 0 {
				got += "\n"
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			testkit.Golden(t, strings.TrimSuffix(file, ".yaml")+".golden", []byte(got))
			if !slices.IsSortedFunc(fs, func(a, b config.Fault) int { return a.Line - b.Line }) {
				t.Error("faults are not sorted by line")
			}
		})
	}
}
