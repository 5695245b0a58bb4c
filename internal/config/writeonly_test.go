package config_test

import (
	"strings"
	"testing"

	"sallyport.dev/internal/config"
)

func TestWriteWithoutReadIsWarnedOf(t *testing.T) {
	doc, err := config.Parse("f", []byte(`
accounts: [{name: a, password: env:A}, {name: b, password: env:B}]
sites:
  - name: s
    path: ./s
    authorization:
      - {allow: [a, b], permissions: [write]}
      - {allow: [b], permissions: [read]}
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Warnings) != 1 || !strings.Contains(doc.Warnings[0].String(), `"a" may write and not read`) {
		t.Errorf("got warnings %v, want one about a", doc.Warnings)
	}
}
