package daemon

import (
	"context"

	"sallyport.dev/internal/fault"
)

func (w *world) startFlows(context.Context) error {
	if len(w.cfg.Flows) == 0 {
		return nil
	}
	return fault.New(fault.Unsupported, "flows are not run yet").WithHint("take flows: out of the document")
}
