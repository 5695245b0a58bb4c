package daemon

import (
	"testing"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/ftp"
)

// TestCharsets holds the document's words to what the client knows.
func TestCharsets(t *testing.T) {
	choices := config.Charset("").Choices()
	for _, name := range choices {
		c, err := ftp.LookupCharset(name)
		if err != nil || (name == "utf-8") != c.UTF8() {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	if want := len(ftp.Charsets()); len(choices) != want {
		t.Errorf("the document offers %d character sets, the client knows %d", len(choices), want)
	}
}
