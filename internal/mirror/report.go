package mirror

// Action is what is done to a file or folder. The word is the one that people read.
type Action string

// The actions.
const (
	Copy   Action = "copy"
	Make   Action = "make folder"
	Delete Action = "delete"
	Same   Action = "same"     // it is there already
	Skip   Action = "left out" // it is not carried, and that is no fault
	Fail   Action = "error"    // it could not be carried
)

// Event is one thing done, or that would be done in a dry run.
type Event struct {
	Action  Action
	Path    string // below the two stores
	Folder  bool
	Size    int64 // bytes of a copied file; -1 unknown
	Resumed int64 // of those, the bytes that an earlier run had brought
	Why     string
	Err     error
}

// Reporter is told what is done. It is called by several goroutines at once.
type Reporter interface {
	// Event tells what was done.
	Event(e Event)
	// Begin tells that a file is on its way from offset on, of size bytes or -1. The
	// function it returns, if not nil, is called with the bytes that went over since
	// the last call, and with -1 at the end, whatever that is.
	Begin(path string, size, offset int64) func(n int64)
}

// Summary counts what was done, or would be in a dry run.
type Summary struct {
	Copied  int64 `json:"copied"`
	Bytes   int64 `json:"bytes"`
	Same    int64 `json:"same"`
	Made    int64 `json:"made"`
	Deleted int64 `json:"deleted"`
	Skipped int64 `json:"left_out"`
	Failed  int64 `json:"failed"`
}

// Add adds what another run did.
func (s *Summary) Add(o Summary) {
	s.Copied += o.Copied
	s.Bytes += o.Bytes
	s.Same += o.Same
	s.Made += o.Made
	s.Deleted += o.Deleted
	s.Skipped += o.Skipped
	s.Failed += o.Failed
}

func (s *Summary) count(e Event) {
	switch e.Action {
	case Copy:
		s.Copied++
		if e.Size > 0 {
			s.Bytes += e.Size
		}
	case Make:
		s.Made++
	case Delete:
		s.Deleted++
	case Same:
		s.Same++
	case Skip:
		s.Skipped++
	case Fail:
		s.Failed++
	}
}
