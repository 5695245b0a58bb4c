package flow

import (
	"context"
	"fmt"
	"path"

	"sallyport.dev/internal/expr"
	"sallyport.dev/internal/fault"
)

// transfer makes the record of a file that is about to be claimed, with every name
// in it resolved. A name that cannot be used makes it a dead letter from the start:
// the file is seen and shown, not tried at every poll.
func (l *lane) transfer(f File) Transfer {
	now := l.r.Now()
	src := l.f.Source.Properties().Identity
	t := Transfer{
		ID: keyOf(src, f).id(l.f.Name), Flow: l.f.Name, Source: src, File: f,
		State: Claimed, Claimed: now, Updated: now, After: l.f.After.Do, Begun: 1,
	}
	env := f.env(now, l.f.Name)
	var err error
	for _, d := range l.f.Sinks {
		o := Output{Sink: d.Sink.Properties().Identity, Existing: d.Existing, Final: f.Path}
		if d.Name != nil && err == nil {
			o.Final, err = resolve(d.Name, env)
		}
		t.Outputs = append(t.Outputs, o)
	}
	if l.f.After.Do == Move && err == nil {
		t.MoveTo, err = resolve(l.f.After.To, env)
		if err == nil && t.MoveTo == f.Path {
			err = fault.New(fault.Invalid, "after: move would move %q onto itself", f.Path).
				WithHint("name another folder or another name")
		}
	}
	if _, bad := ParsePath(string(f.Path)); bad != nil && err == nil {
		err = bad
	}
	t.nameTemps()
	if err != nil {
		t.note(now, err)
		t.FailedIn, t.State = Claimed, Failed
	}
	return t
}

func resolve(tmpl *expr.Template, env expr.Env) (Path, error) {
	s, err := tmpl.Execute(env)
	if err != nil {
		return "", err
	}
	p, err := ParsePath(s)
	if err != nil {
		return "", fault.As(err, "use the name that %q gives", tmpl)
	}
	return p, nil
}

// claim claims a batch and returns how many were new.
func (l *lane) claim(ctx context.Context, batch []Transfer) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	Arrow("listed", batch[0].ID)
	l.mu.Lock()
	for i := range batch {
		l.claiming[batch[i].ID] = false
	}
	l.mu.Unlock()
	claims, err := l.r.Journal.Claim(ctx, batch)
	defer l.claimed(batch)
	if err != nil {
		return 0, fault.As(err, "claim %d files", len(batch))
	}
	Arrow("queued", batch[0].ID)
	n := 0
	var strays []string // claimed once before, when the answer was lost, and perhaps the task
	for i := range claims {
		t := &claims[i].Transfer
		l.rememberClaim(t)
		if !claims[i].New {
			if t.Open() {
				strays = append(strays, t.ID)
			}
			continue
		}
		n++
		if t.State != Failed {
			l.hold(t) // it is the worker's from here on
			continue
		}
		l.log.Error("file cannot be carried", "transfer", t.ID, "file", t.File.Path, "error", t.LastError())
		if err := l.r.Journal.Bury(ctx, t); err != nil {
			return n, fault.As(err, "record dead letter %s", t.ID)
		}
	}
	return n, l.queue(ctx, strays)
}

// claimed ends what claim has begun.
func (l *lane) claimed(batch []Transfer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range batch {
		delete(l.claiming, batch[i].ID)
	}
}

// rememberClaim remembers a claim, unless a worker was so quick that its transfer
// has ended and been forgotten by now: nobody would ever forget it again.
func (l *lane) rememberClaim(t *Transfer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.claiming[t.ID] {
		l.rememberLocked(t)
	}
}

// hold keeps a transfer that this process has just claimed at hand. The worker that
// takes it need not read it back, nor write down that it begins: the claim has
// counted the first attempt. A worker that was quicker than this has read it.
func (l *lane) hold(t *Transfer) {
	k, ok := parseKey(t.ID)
	if !ok || !t.Open() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active[t.ID] == nil && l.known[k].rev == t.Rev {
		l.held[t.ID] = t
	}
}

// release gives what hold has kept, once.
func (l *lane) release(id string) *Transfer {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.held[id]
	delete(l.held, id)
	return t
}

// nameTemps gives the outputs that are to be written the names of this attempt.
func (t *Transfer) nameTemps() {
	for i := range t.Outputs {
		if o := &t.Outputs[i]; !o.Delivered && !o.Ignored {
			o.Temp = tempName(t, i)
		}
	}
}

// tempName is the name a file has at a sink while it is written: in the final
// name's folder, and another one for each attempt, so that what a lost connection
// still writes never mixes with what the next attempt does.
func tempName(t *Transfer, output int) Path {
	k, _ := parseKey(t.ID) // an id of ours always has one
	base := fmt.Sprintf("%s%x-%d-%d.part", tempPrefix, k[:8], t.Begun, output)
	return Path(path.Join(t.Outputs[output].Final.Dir(), base))
}
