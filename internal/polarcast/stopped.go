package polarcast

import (
	"context"
	"os"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
)

// lastWord is how long a process that ends tries to say so.
const lastWord = 5 * time.Second

// tellStopped says in the event log that this process has ended before its work was done: those of the targets wait, and show it. A backup that was
// cancelled or failed says so itself.
func (s *Sender) tellStopped(ctx context.Context, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	host, _ := os.Hostname()
	ev := messages.SourceStopped{Stages: s.Stages, Host: host, Error: cause.Error()}
	err := s.env.AppendIf(ctx, "send", messages.EventSourceStopped, ev, func(st pipeline.State) error {
		if st.Requested == nil || st.Completed != nil || st.Terminal() != nil {
			return pipeline.ErrSkip
		}
		return nil
	})
	if err != nil {
		s.Logger.Debug("the targets were not told", "error", err)
	}
}
