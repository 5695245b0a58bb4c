//go:build !unix

package ftpio

import "os"

// openFlags has nothing to add: there are no pipes among files here.
const openFlags = 0

// syncFolder does nothing: NTFS journals names by itself, and Windows cannot sync a
// folder.
func syncFolder(*os.Root, string) error { return nil }
