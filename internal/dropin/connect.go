package dropin

import (
	"context"
	"fmt"
	"os"

	"polarcast/internal/oserr"
	"polarcast/pipeline"
	"polarcast/stages"
)

// besideBytes bounds the file data that waits in memory between reading and writing.
const besideBytes = 24 << 20

// besides says whether file data waits in memory, beside the embedded server. A session that goes on where another one was lost needs all that
// was sent, so there it goes into the store.
func (r *backup) besides() bool { return len(r.o.NATS.URLs) == 0 && !r.o.Request.Stitch }

// chunkStreamBytes bounds what waits between reading and writing. It is small because the store's blocks are cached in memory, and large
// enough to bridge a sync of the target.
const chunkStreamBytes = 64 << 20

// connect starts the embedded server, or connects to the one that was named.
func (r *backup) connect(ctx context.Context) error {
	opts := r.o.NATS
	// Stages spill to it too, also when the buffers are on another host.
	if err := os.MkdirAll(r.storeDir, 0o700); err != nil {
		return fmt.Errorf("could not create directory \"%s\": %w", r.storeDir, oserr.Cause(err))
	}
	if len(opts.URLs) == 0 {
		s, err := pipeline.StartServer(pipeline.ServerOptions{StoreDir: r.storeDir, Logger: r.o.Logger})
		if err != nil {
			return err
		}
		r.server, opts.Server = s, s
		if r.besides() {
			opts.Beside = besideBytes
		}
	}
	opts.Name, opts.Logger = "polar_basebackup", r.o.Logger
	c, err := pipeline.Connect(ctx, opts)
	if err != nil {
		return err
	}
	r.client = c
	r.env = stages.Env{Client: c, Backup: r.id, Logger: r.o.Logger}.WithDefaults()
	return nil
}

// close stops the server and forgets the client.
func (r *backup) close() {
	if r.client != nil {
		r.client.Close()
	}
	if r.server != nil {
		r.server.Shutdown()
	}
	if r.stdout() && r.storeDir != "" {
		_ = os.RemoveAll(r.storeDir)
	}
}
