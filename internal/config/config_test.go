package config_test

import (
	"testing"

	"sallyport.dev/internal/config"
)

func TestExample(t *testing.T) {
	doc, err := config.Load("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", doc.Config)
	for _, w := range doc.Warnings {
		t.Errorf("unexpected warning: %s", w)
	}
}
