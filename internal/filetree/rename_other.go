//go:build !linux

package filetree

import "os"

func renameNew(root *os.Root, from, to string) error { return renameChecked(root, from, to) }
