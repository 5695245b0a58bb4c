package mirror

// WithFolds makes l behave as on a disk where upper and lower case are one.
func WithFolds(l *Local) *Local { l.folds = true; return l }

// WithMemory makes s go to disk after n entries.
func WithMemory(s *Sorted, n int) *Sorted { s.each = n; return s }

// For tests.
var (
	PartName     = partName
	WindowsFlaw  = windowsFlaw
	HoldLocalFor = holdLocal
)

// Takes is what a filter says of a file or folder.
func (f Filter) Takes(name string, folder bool) bool { return f.takes(name, folder) }
