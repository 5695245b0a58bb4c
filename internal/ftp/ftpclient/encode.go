package ftpclient

import (
	"strings"

	"sallyport.dev/internal/ftp"
)

// encode puts the name in a command into the bytes of the server's character set. A
// name that the set has no bytes for is a [*ftp.SyntaxError].
func (c *Conn) encode(cmd ftp.Command) (ftp.Command, error) {
	if c.cfg.Charset.UTF8() || cmd.Arg == "" {
		return cmd, nil
	}
	switch cmd.Verb {
	case "USER", "PASS", "ACCT", "HOST": // no names of files
		return cmd, nil
	case "MFMT": // a time, then the name
		when, name, _ := strings.Cut(cmd.Arg, " ")
		name, err := c.cfg.Charset.Encode(name)
		cmd.Arg = when + " " + name
		return cmd, err
	}
	var err error
	cmd.Arg, err = c.cfg.Charset.Encode(cmd.Arg)
	return cmd, err
}
