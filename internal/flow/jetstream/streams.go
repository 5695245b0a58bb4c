package jetstream

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sallyport.dev/internal/fault"
)

// The streams that are synced from here.
const (
	recordStream = "KV_transfers"
	pastStream   = "past"
)

// Subjects. An id is "<flow>.<key>", two tokens.
const (
	recordPrefix = "$KV.transfers."
	taskPrefix   = "task."
	deadPrefix   = "dead."
	pastPrefix   = "past."
)

const (
	maxPast    = 10_000    // transfers that are remembered after they were forgotten
	maxDead    = 100_000   // dead letters
	maxRecord  = 256 << 10 // bytes of one record
	markerLife = time.Minute
)

// configs are the streams as they ought to be.
func configs() []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name: recordStream, Subjects: []string{recordPrefix + ">"}, Description: "transfers, by id",
			MaxMsgsPerSubject: 2, // see syncer
			AllowDirect:       true, AllowRollup: true, AllowMsgTTL: true,
			SubjectDeleteMarkerTTL: markerLife, Discard: jetstream.DiscardNew,
		},
		{
			// In memory: what it says can be drawn from the records, and is at each start.
			Name: "tasks", Subjects: []string{taskPrefix + ">"}, Description: "transfers to be carried on",
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, Storage: jetstream.MemoryStorage,
		},
		{
			Name: "dead", Subjects: []string{deadPrefix + ">"}, Description: "dead letters",
			MaxMsgsPerSubject: 1, MaxMsgs: maxDead, AllowDirect: true,
		},
		{
			Name: pastStream, Subjects: []string{pastPrefix + ">"}, Description: "finished transfers",
			MaxMsgs: maxPast, AllowDirect: true,
		},
	}
}

func (e *engine) streams(ctx context.Context) error {
	byName := make(map[string]jetstream.Stream)
	for _, c := range configs() {
		c.MaxMsgSize = maxRecord
		s, err := e.js.CreateOrUpdateStream(ctx, c)
		if err != nil {
			return fault.As(err, "make stream %q", c.Name)
		}
		byName[c.Name] = s
	}
	e.records, e.history = byName[recordStream], byName[pastStream]
	return nil
}

// checkID refuses what could not be part of a subject.
func checkID(id string) error {
	flow, key, ok := strings.Cut(id, ".")
	ok = ok && flow != "" && key != "" && len(id) <= 512
	for i := range len(id) {
		c := id[i]
		ok = ok && (c == '-' || c == '_' || c == '.' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z')
	}
	if !ok || strings.Contains(key, ".") {
		return fault.New(fault.Invalid, "%.100q is not the id of a transfer", id).
			WithHint("ids look like orders.0123456789abcdef0123456789abcdef: sallyport transfer list")
	}
	return nil
}
