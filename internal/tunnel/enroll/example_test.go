package enroll_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/enroll"
)

// A gateway's administrator makes a token; its text travels by hand.
func ExampleAuthority_NewToken() {
	dir, err := os.MkdirTemp("", "enroll")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	a, err := enroll.OpenAuthority(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	tok, err := a.NewToken("plant1", []string{"gateway.example.com:443"}, 0)
	if err != nil {
		log.Fatal(err)
	}
	text := tok.Encode() // holds the secret: print it to stdout and nowhere else

	read, err := enroll.ParseToken(text)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(read.Location, read.Gateways[0], read.Secret)
	_, err = enroll.ParseToken(text[:100])
	fmt.Println(fault.KindOf(err))
	// Output:
	// plant1 gateway.example.com:443 [redacted]
	// invalid
}

// From a gateway's first start to a connector's credentials, over loopback.
func Example() {
	dir, err := os.MkdirTemp("", "enroll")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	a, err := enroll.OpenAuthority(filepath.Join(dir, "gateway"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	l := listenLoopback()
	srv := &http.Server{Handler: a.JoinHandler(), TLSConfig: a.ServerConfig(nil), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.ServeTLS(l, "", "") }()

	tok, err := a.NewToken("plant1", []string{l.Addr().String()}, 0)
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		c, err := enroll.Join(context.Background(), nil, tok, filepath.Join(dir, "connector"))
		if err != nil {
			fmt.Println(fault.KindOf(err))
			continue
		}
		fmt.Println("joined as", c.Identity().Location)
		if err := c.Close(); err != nil {
			log.Fatal(err)
		}
	}
	if err := srv.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(errors.Is(<-served, http.ErrServerClosed))
	// Output:
	// joined as plant1
	// denied
	// true
}
