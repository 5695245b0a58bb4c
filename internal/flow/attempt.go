package flow

import (
	"context"

	"sallyport.dev/internal/fault"
)

// attempt carries a transfer on from the state it is in. It reports late for a
// transfer that is done when that has yet to be written down.
func (l *lane) attempt(ctx context.Context, t *Transfer) (late bool, err error) {
	l.clean(ctx, t)
	if t.State == Intent {
		// An earlier attempt got this far; what came of its renaming is not known.
		if err := l.resume(ctx, t); err != nil {
			return false, err
		}
	}
	if t.State == Claimed {
		if l.foreign(t) {
			return false, l.void(ctx, t, Vanished)
		}
		if err := l.write(ctx, t); err != nil || t.State == Done {
			return false, err
		}
	}
	if t.State == Intent {
		if err := l.publish(ctx, t); err != nil || t.State == Done {
			return false, err
		}
	}
	return true, l.finish(ctx, t)
}

// clean removes temporary files of earlier attempts. It is not worth failing for;
// what cannot be removed now is tried again by the next attempt.
func (l *lane) clean(ctx context.Context, t *Transfer) {
	var left []Litter
	for _, x := range t.Litter {
		if x.Output >= len(l.f.Sinks) {
			continue // the flow has lost this sink since
		}
		if err := l.f.Sinks[x.Output].Sink.Discard(ctx, x.Temp); err != nil {
			l.log.Warn("remove temporary file", "transfer", t.ID, "file", x.Temp, "error", err)
			left = append(left, x)
		}
	}
	t.Litter = left
}

// discard removes the temporary files of this attempt, or leaves them for the next.
func (l *lane) discard(ctx context.Context, t *Transfer) {
	t.litter()
	l.clean(ctx, t)
}

// close makes a transfer done. Nothing is written down by that.
func (t *Transfer) close(o Outcome) {
	t.State, t.Outcome, t.Running = Done, o, false
	t.Deaths, t.Delay = 0, 0
}

// void ends a transfer of which nothing was delivered.
func (l *lane) void(ctx context.Context, t *Transfer, o Outcome) error {
	t.close(o)
	if err := l.update(ctx, t); err != nil {
		return err
	}
	l.closed(t)
	// What was not delivered may be claimed again. If this is not written down
	// now, it is at the next start.
	if err := l.forget(ctx, []string{t.ID}); err != nil {
		l.log.Warn("end mark", "transfer", t.ID, "error", err)
	}
	return nil
}

// closed tells of a transfer that is done and written down as such.
func (l *lane) closed(t *Transfer) {
	Arrow("done", t.ID)
	l.log.Info("transfer done", "transfer", t.ID, "file", t.File.Path, "outcome", t.Outcome, "size", t.Size, "attempts", t.Begun)
	l.count(func(c *counters) {
		if t.void() {
			c.void++
		} else {
			c.done++
			c.bytes += t.Size
		}
	})
}

// publish renames what has been written and records the commit point.
func (l *lane) publish(ctx context.Context, t *Transfer) error {
	for i := range t.Outputs {
		o := &t.Outputs[i]
		if o.Delivered || o.Ignored {
			continue
		}
		err := l.sink(i).Publish(ctx, o.Temp, o.Final, o.Existing == Replace)
		switch {
		case err == nil:
			o.Delivered = true
			Arrow("renamed", t.ID)
		case o.Existing == Ignore && fault.KindOf(err) == fault.Exists:
			o.Ignored = true
			t.Litter = append(t.Litter, Litter{i, o.Temp})
			o.Temp = ""
			l.clean(ctx, t)
		default:
			return fault.As(err, "publish %q", o.Final)
		}
	}
	return l.deliver(ctx, t)
}

// deliver records the commit point. A file that is kept is done with it: nothing is
// left to be seen to.
func (l *lane) deliver(ctx context.Context, t *Transfer) error {
	t.State = Delivered
	if t.After == Keep {
		t.close(Arrived)
	}
	if err := l.update(ctx, t); err != nil {
		return err
	}
	Arrow("delivered", t.ID)
	if t.State == Done {
		l.closed(t)
	}
	return nil
}

// finish sees to the source of a delivered file and closes the transfer. That is
// not written down here: should it be lost, all of this is only done once more.
func (l *lane) finish(ctx context.Context, t *Transfer) error {
	switch {
	case t.After == Keep:
		t.close(Arrived)
		return nil
	case l.foreign(t):
		t.close(LeftAlone)
		return nil
	}
	same, err := l.f.Source.Unchanged(ctx, t.File)
	switch {
	case fault.KindOf(err) == fault.NotFound:
		t.close(Arrived) // an earlier attempt saw to it, or somebody else did
		return nil
	case err != nil:
		return fault.As(err, "look at %q again", t.File.Path)
	case !same:
		t.close(LeftAlone)
		return nil
	}
	Arrow("compared", t.ID)
	if t.After == Move {
		err = l.move(ctx, t)
	} else {
		err = l.f.Source.Delete(ctx, t.File)
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return fault.As(err, "%s %q", t.After, t.File.Path)
	}
	Arrow("processed", t.ID)
	t.close(Arrived)
	return nil
}

// move moves the file away; if the name is taken, to one that only this version of
// this file has. Nothing in an archive is replaced.
func (l *lane) move(ctx context.Context, t *Transfer) error {
	err := l.f.Source.Move(ctx, t.File, t.MoveTo)
	if fault.KindOf(err) != fault.Exists {
		return err
	}
	k, _ := parseKey(t.ID) // an id of ours always has one
	return l.f.Source.Move(ctx, t.File, t.MoveTo+Path("."+Hash(k[:4]).String()))
}

// sink returns the sink of an output; adapt has seen to it that there is one.
func (l *lane) sink(i int) Sink { return l.f.Sinks[i].Sink }

// adapt fits a transfer to a flow whose document has changed since the claim. What
// was meant for another sink is written anew for the present ones.
func (l *lane) adapt(t *Transfer) {
	same := len(t.Outputs) == len(l.f.Sinks)
	for i := range t.Outputs {
		same = same && t.Outputs[i].Sink == l.f.Sinks[i].Sink.Properties().Identity
	}
	if same || t.State == Delivered {
		return
	}
	fresh := l.transfer(t.File)
	l.log.Info("sinks of the flow have changed since the claim", "transfer", t.ID, "file", t.File.Path)
	t.Outputs, t.State, t.Litter = fresh.Outputs, Claimed, nil
}

// foreign reports whether the file is not from the flow's present source.
func (l *lane) foreign(t *Transfer) bool { return t.Source != l.f.Source.Properties().Identity }
