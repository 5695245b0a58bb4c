package ftpserver_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/filetree"
	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpserver"
	"sallyport.dev/internal/secret"
)

func ExampleServer() {
	dir, err := os.MkdirTemp("", "site")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	tree, err := filetree.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	srv := &ftpserver.Server{Settings: ftpserver.Settings{
		Name: "Plant 1",
		Authenticate: func(_ context.Context, l ftpserver.Login) (ftpserver.Account, error) {
			if l.User != "anna" || !l.Password.Equal(secret.New("secret")) {
				return ftpserver.Account{}, fault.New(fault.Unauthenticated, "wrong password")
			}
			return ftpserver.Account{Name: l.User, Tree: tree}, nil
		},
		Passive: ftpserver.Passive{Low: 5000, High: 5010},
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	banner, err := ftp.NewReader(conn, 0).ReadReply()
	fmt.Println(banner.Code, banner.Text(), err)

	fmt.Println(srv.Close(), conn.Close(), tree.Close())
	fmt.Println(<-served)
	// Output:
	// 220 Plant 1 FTP server ready <nil>
	// <nil> <nil> <nil>
	// ftp server closed
}
