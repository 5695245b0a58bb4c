package config

import (
	"fmt"
	"io/fs"
	"strconv"

	"sallyport.dev/internal/fault"
)

// Uploads says how a site writes what comes in.
type Uploads struct {
	Sync          SyncPolicy  `yaml:"sync" help:"always: a file is on the disk, and not only on its way, before the client is told that it is complete"`
	Parts         PartsPolicy `yaml:"parts" help:"what came of an upload that was cut: delete it, or keep it under the file's name, so that the client can go on with REST or APPE"`
	Existing      Existence   `yaml:"existing" help:"a file that is there already: replace it, or fail every upload that would replace it or add to it"`
	RenameOver    Existence   `yaml:"rename_over" help:"a file that is there already, when another is renamed to its name"`
	Mode          Bits        `yaml:"mode" help:"permissions of new files, such as 0640; without it 0666 less the process's mask. A file that is replaced keeps its own"`
	DirectoryMode Bits        `yaml:"directory_mode" help:"permissions of new folders, such as 0750; without it 0777 less the process's mask"`
	Owner         string      `yaml:"owner" help:"user who owns new files and folders, by name or number; without it the one that the program runs as"`
	Group         string      `yaml:"group" help:"group that owns new files and folders, by name or number"`
}

// SyncPolicy says when what was uploaded is flushed to the disk.
type SyncPolicy string

// The policies for flushing.
const (
	SyncAlways SyncPolicy = "always"
	SyncNever  SyncPolicy = "never"
)

// Choices lists what may be written.
func (SyncPolicy) Choices() []string { return []string{"always", "never"} }

// PartsPolicy says what becomes of uploads that are cut.
type PartsPolicy string

// The policies for parts.
const (
	PartsDelete PartsPolicy = "delete"
	PartsKeep   PartsPolicy = "keep"
)

// Choices lists what may be written.
func (PartsPolicy) Choices() []string { return []string{"delete", "keep"} }

// Existence says what becomes of a file that is in the way.
type Existence string

// The policies for files that exist.
const (
	ReplaceExisting Existence = "replace"
	FailExisting    Existence = "fail"
)

// Choices lists what may be written.
func (Existence) Choices() []string { return []string{"replace", "fail"} }

// Bits are the permissions of a file. Its zero value is none.
type Bits fs.FileMode

// IsZero reports whether nothing is set.
func (m Bits) IsZero() bool { return m == 0 }

// MarshalText writes m in octal.
func (m Bits) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", uint32(m)), nil }

// UnmarshalText reads octal digits, with a leading zero or without.
func (m *Bits) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 8, 16)
	if err != nil || n == 0 || n > 0o777 || len(b) < 3 || len(b) > 4 {
		return fault.New(fault.Invalid, "%s are no permissions", quote(string(b))).
			WithHint("write three octal digits, such as 0640: owner, group and others, of read 4, write 2 and enter 1")
	}
	*m = Bits(n)
	return nil
}

// Listing says what LIST looks like. MLSD and MLST, which programs read, are always
// the same.
type Listing struct {
	Style  ListStyle `yaml:"style" help:"LIST as ls -l writes it, or as IIS and dir do"`
	Time   ListTime  `yaml:"time" help:"times in LIST: UTC, or in the zone of this machine; MLSD and MDTM are always UTC"`
	Hidden Hidden    `yaml:"hidden" help:"names that begin with a dot, in LIST and NLST: show them, or hide them from clients that do not say -a; MLSD always has them"`
}

// ListStyle is the shape of a line of LIST.
type ListStyle string

// The shapes of LIST.
const (
	ListUnix ListStyle = "unix"
	ListDOS  ListStyle = "dos"
)

// Choices lists what may be written.
func (ListStyle) Choices() []string { return []string{"unix", "dos"} }

// ListTime is the zone of times in LIST.
type ListTime string

// The zones of LIST.
const (
	ListUTC   ListTime = "utc"
	ListLocal ListTime = "local"
)

// Choices lists what may be written.
func (ListTime) Choices() []string { return []string{"utc", "local"} }

// Hidden says whether LIST has names that begin with a dot.
type Hidden string

// What becomes of names that begin with a dot.
const (
	HiddenShow Hidden = "show"
	HiddenHide Hidden = "hide"
)

// Choices lists what may be written.
func (Hidden) Choices() []string { return []string{"show", "hide"} }

func (c *checker) uploads(at string, u Uploads) {
	if u.Parts == PartsKeep && u.Existing == FailExisting {
		c.fault(at+".parts", "write parts: delete, or existing: replace", "with existing: fail nobody could go on with a part that was kept")
	}
	if u.DirectoryMode != 0 && u.DirectoryMode&0o300 != 0o300 {
		c.fault(at+".directory_mode", "write 7 or 3 first, such as 0750", "not even the owner could make a file in a folder of %04o", uint32(u.DirectoryMode))
	}
}

func (u *Uploads) defaults() {
	orElse(&u.Sync, SyncAlways)
	orElse(&u.Parts, PartsDelete)
	orElse(&u.Existing, ReplaceExisting)
	orElse(&u.RenameOver, ReplaceExisting)
}

func (l *Listing) defaults() {
	orElse(&l.Style, ListUnix)
	orElse(&l.Time, ListUTC)
	orElse(&l.Hidden, HiddenShow)
}
