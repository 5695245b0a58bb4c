package testkit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// The servers under test log in a system account, made once per machine: without a
// shell, with a random password that only root can read.
const (
	accountName = "sallyport-test"
	accountDir  = "/var/lib/sallyport-test"
)

type account struct {
	name, password string
	uid, gid       int
}

func testAccount(t testing.TB) account {
	t.Helper()
	NeedRoot(t)
	a, err := makeAccount()
	if err != nil {
		t.Fatalf("make the account %s: %v", accountName, err)
	}
	return a
}

var makeAccount = sync.OnceValues(func() (account, error) {
	// Others may pass: vsftpd changes into the account's own folder as the account.
	if err := os.MkdirAll(accountDir, 0o755); err != nil {
		return account{}, err
	}
	lock := flock.New(filepath.Join(accountDir, "lock"))
	if err := lock.Lock(); err != nil {
		return account{}, err
	}
	a, err := accountLocked()
	return a, errors.Join(err, lock.Unlock())
})

func accountLocked() (account, error) {
	file := filepath.Join(accountDir, "password")
	password, err := os.ReadFile(file)
	u, lookupErr := user.Lookup(accountName)
	if err != nil || lookupErr != nil {
		if lookupErr != nil {
			err := run("", "useradd", "--system", "--no-create-home", "--home-dir", accountDir,
				"--shell", "/usr/sbin/nologin", "--user-group", accountName)
			if err != nil {
				return account{}, err
			}
		}
		password = []byte(rand.Text())
		// Few rounds: every login of a test pays for them.
		err := run(accountName+":"+string(password)+"\n", "chpasswd", "--crypt-method", "SHA512", "--sha-rounds", "1000")
		if err != nil {
			return account{}, err
		}
		if err := os.WriteFile(file, password, 0o600); err != nil {
			return account{}, err
		}
		if u, err = user.Lookup(accountName); err != nil {
			return account{}, err
		}
	}
	a := account{name: accountName, password: string(password)}
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return account{}, err
	}
	a.gid, err = strconv.Atoi(u.Gid)
	return a, err
}

// run runs a command of the system's administrator with input on stdin.
func run(input, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	if cmd.Err != nil { // not on a user's PATH
		cmd = exec.Command("/usr/sbin/"+name, args...)
	}
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
