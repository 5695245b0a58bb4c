package flowtest_test

import (
	"testing"
	"time"

	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
)

func TestJournalInMemory(t *testing.T) {
	flowtest.TestJournal(t,
		func(*testing.T) flow.Journal { return &flowtest.Journal{} },
		func(_ *testing.T, j flow.Journal) flow.Journal { return j })
}

func TestFolderAsSource(t *testing.T) {
	flowtest.TestSource(t, func(*testing.T) flowtest.SourceHarness {
		d := &flowtest.Folder{Name: "src"}
		return flowtest.SourceHarness{
			Source: d,
			Put:    func(_ *testing.T, n string, b []byte, at time.Time) { d.Put(flow.Path(n), b, at) },
			Get:    func(_ *testing.T, n string) ([]byte, bool) { return d.Get(flow.Path(n)) },
			Remove: func(_ *testing.T, n string) { d.Remove(flow.Path(n)) },
		}
	})
}

func TestFolderAsSink(t *testing.T) {
	flowtest.TestSink(t, func(*testing.T) flowtest.SinkHarness {
		d := &flowtest.Folder{Name: "dst"}
		return flowtest.SinkHarness{
			Sink: d.Sink(),
			Put:  func(_ *testing.T, n string, b []byte) { d.Put(flow.Path(n), b, time.Now()) },
			Get:  func(_ *testing.T, n string) ([]byte, bool) { return d.Get(flow.Path(n)) },
		}
	})
}
