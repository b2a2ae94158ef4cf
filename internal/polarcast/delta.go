package polarcast

import (
	"context"
	"fmt"

	"polarcast/pipeline"
	"polarcast/stages/target"
)

// checkOld refuses a directory that cannot be brought up to date, when it holds anything at all.
func (r *Receiver) checkOld(ctx context.Context, st pipeline.State) error {
	old, err := target.HoldsOld(r.Target.Dir)
	if err != nil || !old {
		return err
	}
	if !st.Requested.Delta {
		return fmt.Errorf("directory \"%s\" cannot be brought up to date: backup \"%s\" is not sent with --delta", r.Target.Dir, r.Backup)
	}
	if st.Prepared == nil {
		if st, err = r.env.Log().Wait(ctx, func(st pipeline.State) (bool, error) { return st.Prepared != nil, st.Terminal() }); err != nil {
			return err
		}
	}
	return target.CheckOld(r.Target.Dir, r.Backup, st.Prepared.SystemID, st.Prepared.ServerVersion)
}
