package enroll_test

import (
	"testing"

	"sallyport.dev/internal/tunnel/enroll"
)

func TestJoinThenSpeak(t *testing.T) {
	g := newGateway(t)
	tok := mustToken(t, g.Authority, "plant1")
	dir := t.TempDir()
	c := mustJoin(t, g, tok, dir)
	got, err := hello(t, g.net, c, gatewayAddr)
	if err != nil {
		t.Fatal(err)
	}
	id := c.Identity()
	if want := id.ID + "@plant1"; got != want {
		t.Errorf("gateway sees %q, want %q", got, want)
	}
	again, err := enroll.OpenCredentials(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Identity() != id {
		t.Errorf("reopened credentials are for %+v, want %+v", again.Identity(), id)
	}
	if got, err := hello(t, g.net, again, gatewayAddr); err != nil || got != id.ID+"@plant1" {
		t.Errorf("reopened credentials: got %q, %v", got, err)
	}
}
