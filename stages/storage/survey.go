package storage

import (
	"context"
	"errors"
	"fmt"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/target"
)

// survey says what the target holds, before the source of a delta backup is read. A target that is new or empty offers nothing. One process of the
// target does it.
func (s *Stage) survey(ctx context.Context) error {
	st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) { return st.Prepared != nil, st.Terminal() })
	if err != nil {
		return err
	}
	name := s.cfg.Target.Name
	if !st.Requested.Delta {
		if old, err := target.HoldsOld(s.cfg.Target.Dir); s.cfg.Target.Delta && err == nil && old && st.Targets[name].Opened == nil {
			return fmt.Errorf("directory \"%s\" cannot be brought up to date: backup \"%s\" is not sent with --delta", s.cfg.Target.Dir, s.cfg.Backup)
		}
		return nil
	}
	if st.Targets[name].Surveyed != nil {
		return nil
	}
	lease, err := stages.Lead(ctx, s.cfg.Env, "survey_"+name)
	if err != nil {
		return err
	}
	defer lease.Release()
	ctx, cancel := lease.Context(ctx)
	defer cancel()
	if st, err = s.cfg.Log().State(ctx); err != nil || st.Targets[name].Surveyed != nil {
		return err
	}
	ev, err := s.offer(ctx, st)
	if err != nil {
		return err
	}
	return s.cfg.AppendIf(ctx, stageName, messages.EventTargetSurveyed, ev, func(st pipeline.State) error {
		if st.Targets[name].Surveyed != nil {
			return pipeline.ErrSkip
		}
		return st.Terminal()
	})
}

// offer takes an old copy for the backup and publishes what it holds.
func (s *Stage) offer(ctx context.Context, st pipeline.State) (messages.TargetSurveyed, error) {
	t := s.cfg.Target
	o := newOffer(ctx, s.cfg.Client, s.cfg.Backup, t.Name)
	defer o.stop()
	if t.Delta && t.Format != target.Tar && t.Dir != "-" {
		old, err := target.HoldsOld(t.Dir)
		if err != nil {
			return o.event, err
		}
		if old {
			if err := target.CheckOld(t.Dir, s.cfg.Backup, st.Prepared.SystemID, st.Prepared.ServerVersion); err != nil {
				return o.event, err
			}
			if stages.SharedStorage(st) {
				return o.event, errors.New("--delta cannot be used with a server in shared-storage mode")
			}
			if err := target.Take(t.Dir, s.cfg.Backup, st.Prepared.SystemID); err != nil {
				return o.event, err
			}
			s.cfg.Logger.Info("looking at what the target holds already", "target", t.Name, "directory", t.Dir)
			if err := o.walk(t.Dir); err != nil {
				return o.event, err
			}
		}
	}
	err := o.finish()
	return o.event, err
}
