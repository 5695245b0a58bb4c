package ftpclient_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"sallyport.dev/internal/ftp/ftpclient"
	"sallyport.dev/internal/secret"
)

// A listing is read as it comes; a download is whole when io.Copy returns nil.
func ExampleConn() {
	ctx := context.Background()
	c, err := ftpclient.Dial(ctx, ftpclient.Config{
		Addr:     "ftp.example.com:21",
		User:     "svc-erp",
		Password: secret.New(os.Getenv("ERP_PASSWORD")),
		Security: ftpclient.Explicit,
	})
	if err != nil {
		log.Print(err)
		return
	}
	defer c.Close() //nolint:errcheck // the session is over
	for e, err := range c.List(ctx, "out") {
		if err != nil {
			log.Print(err) // the listing is not complete
			return
		}
		fmt.Println(e.Name, e.Size)
	}
	d, err := c.Retr(ctx, "out/order.xml", 0)
	if err != nil {
		log.Print(err)
		return
	}
	defer d.Close() //nolint:errcheck // io.Copy has said it
	if _, err := io.Copy(os.Stdout, d); err != nil {
		log.Print(err)
	}
}
