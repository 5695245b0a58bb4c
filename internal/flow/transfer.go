package flow

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"sallyport.dev/internal/fault"
)

// State is how far a transfer has come. The states are in order.
type State uint8

// The states.
const (
	Claimed   State = iota + 1 // ours; nothing is to be seen at the sinks
	Intent                     // whole and verified under its temporary name; about to be renamed
	Delivered                  // under its final name; the source has yet to be seen to
	Done                       // finished, see [Outcome]
	Failed                     // a dead letter; waits for somebody
)

// String returns the state's name.
func (s State) String() string {
	return name(int(s)-1, "claimed", "intent", "delivered", "done", "failed")
}

// MarshalText gives the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's name.
func (s *State) UnmarshalText(b []byte) error {
	n, err := parse[State](string(b), "a state", "claimed", "intent", "delivered", "done", "failed")
	*s = n + 1
	return err
}

// Outcome is how a transfer that is done ended.
type Outcome string

// The outcomes.
const (
	Arrived    Outcome = "arrived"    // delivered, and the source seen to
	LeftAlone  Outcome = "left-alone" // delivered, but the source has changed since: it stays for a new transfer
	Superseded Outcome = "superseded" // the source changed before delivery; nothing was delivered
	Vanished   Outcome = "vanished"   // the source was gone before delivery; nothing was delivered
	Discarded  Outcome = "discarded"  // a dead letter that somebody gave up
)

// Transfer is one file's travel through a flow, as the journal remembers it.
// Names are resolved once, when the file is claimed.
type Transfer struct {
	ID      string    `json:"id"`
	Flow    string    `json:"flow"`
	Source  string    `json:"source"` // the source's identity
	File    File      `json:"file"`   // as claimed
	State   State     `json:"state"`
	Outcome Outcome   `json:"outcome,omitempty"`
	Claimed time.Time `json:"claimed"`
	Updated time.Time `json:"updated"`
	Outputs []Output  `json:"outputs"`
	After   Action    `json:"after"`
	MoveTo  Path      `json:"move_to,omitempty"`
	Size    int64     `json:"body_size,omitempty"` // bytes that went to the sinks; from Intent on
	Hash    Hash      `json:"hash,omitempty"`      // SHA-256 of them; from Intent on

	Begun   int  `json:"begun"`             // attempts begun, each counted before it is tried; the first by the claim
	Running bool `json:"running,omitempty"` // begun and not ended, as far as was written down
	Fails   int  `json:"fails,omitempty"`   // attempts that failed
	Deaths  int  `json:"deaths,omitempty"`  // attempts in a row that ended with their process

	Delay     time.Duration `json:"delay,omitempty"`     // the wait after the last failure
	NotBefore time.Time     `json:"not_before,omitzero"` // when that wait ends
	FailedIn  State         `json:"failed_in,omitempty"` // the state it was in, for Failed
	Log       []Attempt     `json:"log,omitempty"`       // the last attempts that did not succeed
	Litter    []Litter      `json:"litter,omitempty"`    // temporary files of earlier attempts, to be removed

	// Rev is the journal's revision of this record. Only who holds the newest may
	// update it.
	Rev uint64 `json:"-"`
}

// Output is one sink's part in a transfer.
type Output struct {
	Sink      string   `json:"sink"` // the sink's identity
	Final     Path     `json:"final"`
	Temp      Path     `json:"temp,omitempty"`
	Existing  Existing `json:"existing"`
	Delivered bool     `json:"delivered,omitempty"`
	Ignored   bool     `json:"ignored,omitempty"` // another file has the name and stays
}

// Litter is a temporary file that is no longer wanted.
type Litter struct {
	Output int  `json:"output"`
	Temp   Path `json:"temp"`
}

// Attempt is a try that did not succeed.
type Attempt struct {
	Number int       `json:"number"`
	End    time.Time `json:"end"`
	State  State     `json:"state"` // where it ended
	Kind   string    `json:"kind"`  // of fault
	Error  string    `json:"error"`
	Hint   string    `json:"hint,omitempty"`
}

// Bounds of what is kept of failures.
const (
	maxLog    = 20
	maxLitter = 20
	maxError  = 1000 // bytes
)

// Open reports whether the transfer is still to be carried on.
func (t *Transfer) Open() bool { return t.State.open() }

func (s State) open() bool { return s >= Claimed && s <= Delivered }

// void reports whether the transfer ended without delivering anything: nothing
// speaks against claiming a file like it again.
func (t *Transfer) void() bool {
	return t.State == Done && (t.Outcome == Superseded || t.Outcome == Vanished)
}

// LastError returns the text of the last attempt that did not succeed, or "".
func (t *Transfer) LastError() string {
	if len(t.Log) == 0 {
		return ""
	}
	return t.Log[len(t.Log)-1].Error
}

// note adds a failed attempt to the log.
func (t *Transfer) note(now time.Time, err error) {
	text := err.Error()
	if len(text) > maxError {
		text = text[:maxError] + "…"
	}
	t.Log = append(t.Log, Attempt{
		Number: t.Begun, End: now, State: t.State,
		Kind: fault.KindOf(err).String(), Error: text, Hint: fault.HintOf(err),
	})
	if len(t.Log) > maxLog {
		t.Log = slices.Clone(t.Log[len(t.Log)-maxLog:])
	}
}

// litter sets the temporary files aside for removal.
func (t *Transfer) litter() {
	for i := range t.Outputs {
		if o := &t.Outputs[i]; o.Temp != "" && !o.Delivered {
			t.Litter = append(t.Litter, Litter{i, o.Temp})
			o.Temp = ""
		}
	}
	if len(t.Litter) > maxLitter {
		t.Litter = slices.Clone(t.Litter[len(t.Litter)-maxLitter:])
	}
}

// Hash is a SHA-256, written in hexadecimal.
type Hash []byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h) }

// MarshalJSON gives the hash in hexadecimal.
func (h Hash) MarshalJSON() ([]byte, error) { return json.Marshal(h.String()) }

// UnmarshalJSON reads what MarshalJSON gives.
func (h *Hash) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	raw, err := hex.DecodeString(s)
	*h = raw
	return err
}

// MarshalText gives the policy as documents spell it.
func (e Existing) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what MarshalText gives.
func (e *Existing) UnmarshalText(b []byte) (err error) {
	*e, err = ParseExisting(string(b))
	return err
}

// MarshalText gives the action as documents spell it.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText gives.
func (a *Action) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAction(string(b))
	return err
}
