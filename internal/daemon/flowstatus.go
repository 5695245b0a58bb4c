package daemon

import (
	"context"

	"sallyport.dev/internal/api"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/flow"
)

// flowHandler answers live commands about the flows of this process.
func (w *world) flowHandler() *api.FlowHandler {
	r := w.flows
	return &api.FlowHandler{
		Flows: func() []api.Flow {
			all := r.Snapshot()
			out := make([]api.Flow, len(all))
			for i := range all {
				out[i] = flowStatus(&all[i])
			}
			return out
		},
		Pause: r.Pause, Resume: r.Resume, Retry: r.Retry, Discard: r.Discard,
		Poll: func(ctx context.Context, name string) (api.Poll, error) {
			p, err := r.PollNow(ctx, name)
			return api.Poll{Listed: p.Listed, Claimed: p.Claimed, Waiting: p.Waiting}, err
		},
		Transfers: w.transfers,
		Transfer: func(ctx context.Context, id string) (api.Transfer, error) {
			t, err := r.Journal.Get(ctx, id)
			if err != nil {
				return api.Transfer{}, fault.As(err, "find transfer %q", id)
			}
			return transferStatus(&t), nil
		},
	}
}

func flowStatus(s *flow.Status) api.Flow {
	f := api.Flow{
		Name: s.Name, Paused: s.Paused, LastPoll: s.LastPoll, NextPoll: s.NextPoll, Since: s.FailedSince,
		Open: s.Open, Active: len(s.Active), Dead: s.Dead, Done: s.Done, Bytes: s.Bytes,
	}
	if s.PollError != nil {
		f.Error, f.Hint = s.PollError.Error(), fault.HintOf(s.PollError)
	}
	return f
}

func (w *world) transfers(ctx context.Context, q api.TransferQuery) (api.TransferPage, error) {
	query := flow.Query{Flow: q.Flow, Past: q.Past, After: q.After, Limit: q.Limit}
	if q.State != "" {
		var s flow.State
		if err := s.UnmarshalText([]byte(q.State)); err != nil {
			return api.TransferPage{}, err
		}
		query.States = []flow.State{s}
	}
	page, err := w.flows.Journal.List(ctx, query)
	if err != nil {
		return api.TransferPage{}, fault.As(err, "list transfers")
	}
	out := api.TransferPage{Transfers: make([]api.Transfer, len(page.Transfers)), Next: page.Next}
	for i := range page.Transfers {
		out.Transfers[i] = transferStatus(&page.Transfers[i])
	}
	return out, nil
}

func transferStatus(t *flow.Transfer) api.Transfer {
	out := api.Transfer{
		ID: t.ID, Flow: t.Flow, File: string(t.File.Path), Size: t.File.Size, Modified: t.File.Time, Source: t.Source,
		State: t.State.String(), Outcome: string(t.Outcome), Claimed: t.Claimed, Updated: t.Updated,
		Begun: t.Begun, Next: t.NotBefore, Hash: t.Hash.String(),
	}
	for _, o := range t.Outputs {
		out.Sinks = append(out.Sinks, api.Output{Sink: o.Sink, Name: string(o.Final), Delivered: o.Delivered})
	}
	for _, a := range t.Log {
		out.Log = append(out.Log, api.Attempt{Number: a.Number, End: a.End, Error: a.Error, Hint: a.Hint})
	}
	return out
}
