package flowtest_test

import (
	"testing"

	"sallyport.dev/internal/flow"
	"sallyport.dev/internal/flow/flowtest"
)

func TestJournalInMemory(t *testing.T) {
	flowtest.TestJournal(t,
		func(*testing.T) flow.Journal { return &flowtest.Journal{} },
		func(_ *testing.T, j flow.Journal) flow.Journal { return j })
}
