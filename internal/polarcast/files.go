package polarcast

import (
	"context"

	"polarcast/pipeline"
	"polarcast/stages/source"
)

// openFiles opens the files source in the way that was asked for, or the best that works here: reading them where they are mounted, else by SQL.
func (s *Sender) openFiles(connections int) func(context.Context, pipeline.State) (source.Reader, error) {
	return func(ctx context.Context, st pipeline.State) (source.Reader, error) {
		o := source.Options{Read: st.Requested.Read, Connect: s.Source.ConnectSQL, Connections: connections, Logger: s.Logger}
		var err error
		if o.LogDirectory, err = s.Source.setting(ctx, "log_directory"); err != nil {
			return nil, err
		}
		if o.Read == "" {
			o.Read = source.ReadSQL
		}
		if o.Read != source.ReadSQL {
			if o.Dir, err = s.Source.setting(ctx, "data_directory"); err != nil {
				return nil, err
			}
		}
		return o.Open(ctx, st.Prepared)
	}
}
