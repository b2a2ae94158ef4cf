package polarcast

import (
	"context"

	"polarcast/internal/postgres"
	"polarcast/pipeline"
	"polarcast/stages/checkpoint"
	"polarcast/stages/source"
)

// openFiles opens the files source in the way that was chosen for the backup, or the best that works on this host: reading files where they are,
// else by SQL.
func (s *Sender) openFiles(connections int) func(context.Context, pipeline.State) (source.Reader, error) {
	return func(ctx context.Context, st pipeline.State) (source.Reader, error) {
		o := source.Options{Read: st.Requested.Read, Connect: s.Source.ConnectSQL, Connections: connections, PFS: s.PFS, Logger: s.Logger}
		if o.Read == source.ReadSQL {
			return o.Open(ctx, st.Prepared)
		}
		if o.Read != "" {
			conn, err := o.Connect(ctx)
			if err != nil {
				return nil, err
			}
			o.Dir, err = checkpoint.LocalDir(ctx, conn, st.Prepared)
			postgres.CloseSQL(conn)
			if err != nil {
				return nil, err
			}
			return o.Open(ctx, st.Prepared)
		}
		c, err := checkpoint.ChooseFiles(ctx, st.Prepared, checkpoint.Wish{Files: true, Open: o})
		if err != nil {
			return nil, err
		}
		s.Logger.Info("reading files by " + c.Read + ": " + c.Why)
		o.Read, o.Dir = c.Read, c.Dir
		return o.Open(ctx, st.Prepared)
	}
}
