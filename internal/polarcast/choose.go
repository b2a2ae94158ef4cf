package polarcast

import (
	"context"
	"fmt"
	"runtime"

	"polarcast/pipeline"
	"polarcast/stages/checkpoint"
	"polarcast/stages/source"
)

// chooseSource decides where bytes come from, once, before the backup is begun. A backup that is there keeps what was decided for it: the event log
// has it.
func (s *Sender) chooseSource(ctx context.Context, st pipeline.State) error {
	o := s.Options
	if st.Requested != nil && o.Source == "auto" {
		o.Source, o.Read = st.Requested.Source, st.Requested.Read
		return nil
	}
	if why := s.streamOnly(); why != "" {
		if o.Source == "files" {
			return fmt.Errorf("the files source cannot be used with %s: leave out --source=files", why)
		}
		o.Source, o.Read = "stream", ""
		return nil
	}
	if o.Source == "files" && !s.has(StageTablespace) {
		return nil // each reader finds its own way, or takes the one that was asked for
	}
	c, err := checkpoint.ChooseFiles(ctx, &s.prepared, checkpoint.Wish{Files: o.Source == "files", Read: o.Read,
		Open: source.Options{Connect: s.Source.ConnectSQL, PFS: s.PFS, Logger: s.Logger}})
	switch {
	case err != nil && o.Source == "files":
		return err
	case err != nil:
		s.Logger.Info("reading by base backup protocol: " + err.Error())
		o.Source, o.Read = "stream", ""
	default:
		s.Logger.Info("reading files by " + c.Read + ": " + c.Why)
		o.Source, o.Read = "files", c.Read
	}
	return nil
}

// streamOnly names what asks for BASE_BACKUP, "" for nothing.
func (s *Sender) streamOnly() string {
	o := s.Options
	switch {
	case o.Source == "stream":
		return "--source=stream"
	case s.Tar:
		return "--tar"
	case o.LocalIs != "full":
		return "--local=" + o.LocalIs
	case o.WALMethod == "fetch":
		return "--wal-method=fetch"
	case o.Source == "auto" && !s.has(StageTablespace):
		return "readers whose hosts are not known"
	}
	return ""
}

// jobs is how many pieces are read at once when nobody says: by default one for each processor, at most 4.
func (s *Sender) jobs() int {
	if s.Options.Jobs > 0 {
		return s.Options.Jobs
	}
	return min(runtime.GOMAXPROCS(0), 4)
}
