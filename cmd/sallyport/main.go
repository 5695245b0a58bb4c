// Command sallyport moves files between FTP servers inside a private network and
// applications outside it, through a firewall in which nothing may dial in.
package main

import (
	"os"

	"sallyport.dev/internal/cli"
)

func main() { os.Exit(cli.Main()) }
