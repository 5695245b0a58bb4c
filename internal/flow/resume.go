package flow

import (
	"bytes"
	"context"

	"sallyport.dev/internal/fault"
)

// resume settles what an earlier attempt that had recorded its intent has left
// behind. Of each output one of three things is true:
//
//	temporary name there, of the right size         not renamed yet: publish it
//	temporary name gone, final name there, its size
//	and (where it can be had) its hash as intended   renamed: delivered
//	anything else                                    lost: write it anew
//
// Temporary names are used once, so one that is gone was renamed or removed, and
// the file under the final name tells which.
func (l *lane) resume(ctx context.Context, t *Transfer) error {
	lost := false
	for i := range t.Outputs {
		o := &t.Outputs[i]
		if o.Delivered || o.Ignored {
			continue
		}
		if l.sink(i).Properties().Blind {
			lost = true // it may arrive twice; such sinks say so
			continue
		}
		temp, err := l.sink(i).Look(ctx, o.Temp, false)
		if err != nil {
			return fault.As(err, "look at %q", o.Temp)
		}
		if temp.There {
			lost = lost || temp.Size >= 0 && temp.Size != t.Size
			continue
		}
		final, err := l.sink(i).Look(ctx, o.Final, true)
		if err != nil {
			return fault.As(err, "look at %q", o.Final)
		}
		if final.There && (final.Size < 0 || final.Size == t.Size) && (final.Hash == nil || bytes.Equal(final.Hash, t.Hash)) {
			o.Delivered = true
			continue
		}
		lost = true
	}
	if !lost {
		return nil
	}
	l.log.Info("intended file is not there any more, writing it anew", "transfer", t.ID, "file", t.File.Path)
	t.litter()
	l.clean(ctx, t)
	t.State = Claimed
	t.nameTemps()
	return l.update(ctx, t)
}
