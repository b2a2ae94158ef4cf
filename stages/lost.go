package stages

import (
	"context"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
)

// noteTime bounds how long a stage that is being stopped tries to get a last event out.
const noteTime = 5 * time.Second

// SessionLost notes that a session ended before all was read, unless that is known, or the session is over in the sense of ended. The note must get out
// even when ctx is done because the stage is being stopped.
func (e Env) SessionLost(ctx context.Context, stage string, session uint32, cause error, ended func(pipeline.SessionState) bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	return e.AppendIf(ctx, stage, messages.EventSessionLost, messages.SessionLost{Session: session, Error: cause.Error()}, func(st pipeline.State) error {
		if cur := st.Session(); cur == nil || cur.Started.Session != session || cur.Lost != nil || ended(*cur) {
			return pipeline.ErrSkip
		}
		return nil
	})
}
