package checkpoint

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages/source"
)

// walPage is the size of a page of WAL, in bytes (XLOG_BLCKSZ).
const walPage = 8192

// walTail reads the source's WAL from the start point of a session on, while it grows and over the loss of sessions, and looks in it for what forbids
// to stitch. It follows the server on a connection of its own, in the time between two sessions too, and says in the event log how far it has come: the wal
// stage lets the server remove what lies before.
type walTail struct {
	base messages.SessionStarted
	tree messages.Tree
	size int64
	open func(context.Context) (source.Reader, error)
	note func(context.Context, messages.WALScanned) error
	ctx  context.Context
	stop context.CancelFunc
	done chan struct{} // closed when nothing more is read

	mu      sync.Mutex
	changed chan struct{}
	src     source.Reader
	flushed postgres.LSN // what the server has made durable
	end     postgres.LSN // where the window ends, 0 while that is not known
	read    postgres.LSN // what was read
	over    bool
	err     error

	window *postgres.WALWindow // of the goroutine that scans, until over
	noted  postgres.LSN        // likewise: up to where the event log knows of it
}

func (t *walTail) set(fn func()) {
	t.mu.Lock()
	fn()
	close(t.changed)
	t.changed = make(chan struct{})
	t.mu.Unlock()
}

// advance tells how far the server's WAL is durable.
func (t *walTail) advance(lsn postgres.LSN) {
	t.set(func() { t.flushed = max(t.flushed, lsn) })
}

// follow asks the server how far its WAL is durable, until the tail is stopped. While the server is away nothing is added that could be missed.
func (t *walTail) follow(connect func(context.Context) (*pgconn.PgConn, error), every time.Duration) {
	for t.ctx.Err() == nil {
		if conn, err := connect(t.ctx); err == nil {
			for err == nil {
				err = t.ask(conn)
				_ = pause(t.ctx, every)
			}
			postgres.CloseSQL(conn)
		}
		_ = pause(t.ctx, every)
	}
}

func (t *walTail) ask(conn *pgconn.PgConn) error {
	ctx, cancel := context.WithTimeout(t.ctx, pingTimeout)
	defer cancel()
	now, err := flushed(ctx, conn)
	if err == nil {
		t.advance(now)
	}
	return err
}

// wait returns when cond is met; cond is called with the lock held.
func (t *walTail) wait(ctx context.Context, cond func() bool) error {
	for {
		t.mu.Lock()
		ok, ch := cond(), t.changed
		t.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.ctx.Done():
			return context.Cause(t.ctx)
		}
	}
}

// caughtUp returns when everything that was durable at lsn was read, or nothing more will be.
func (t *walTail) caughtUp(ctx context.Context, lsn postgres.LSN) error {
	t.advance(lsn)
	return t.wait(ctx, func() bool { return t.over || t.read >= lsn-lsn%walPage })
}

// reader returns the open source, opening it when there is none.
func (t *walTail) reader() (source.Reader, error) {
	t.mu.Lock()
	r := t.src
	t.mu.Unlock()
	if r != nil {
		return r, nil
	}
	r, err := t.open(t.ctx)
	if err == nil {
		t.mu.Lock()
		t.src = r
		t.mu.Unlock()
	}
	return r, err
}

// OpenSegment implements postgres.WALSegments. It waits until the segment is there.
func (t *walTail) OpenSegment(start postgres.LSN) (postgres.WALSegment, error) {
	// All before it was read, also where a switch to this segment left the end of the last one unused.
	t.set(func() { t.read = max(t.read, start) })
	if err := t.wait(t.ctx, func() bool { return t.flushed > start || t.end != 0 && t.end <= start }); err != nil {
		return nil, err
	}
	return &tailSegment{t: t, start: start, path: "pg_wal/" + postgres.SegmentName(t.base.Timeline, start, t.size)}, nil
}

type tailSegment struct {
	t     *walTail
	start postgres.LSN
	path  string
}

func (s *tailSegment) Close() error { return nil }

// ReadAt returns whole pages that are durable, and the last, partial one when the end is known. It waits for at least one.
func (s *tailSegment) ReadAt(p []byte, off int64) (int, error) {
	t, at := s.t, s.start+postgres.LSN(off)
	avail := postgres.LSN(0)
	err := t.wait(t.ctx, func() bool {
		if avail = t.flushed - t.flushed%walPage; t.end != 0 {
			avail = t.end
		}
		return avail > at || t.end != 0
	})
	if err != nil {
		return 0, err
	}
	if avail <= at {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), int64(avail-at)))
	if err := s.fill(p[:n], off); err != nil {
		return 0, err
	}
	t.set(func() { t.read = max(t.read, at+postgres.LSN(n)) })
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// fill reads from the source. A server that is restarting is asked again; a segment that is gone is an error.
func (s *tailSegment) fill(p []byte, off int64) error {
	for {
		err := s.once(p, off)
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) {
			return err
		}
		if err := pause(s.t.ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

func (s *tailSegment) once(p []byte, off int64) error {
	r, err := s.t.reader()
	if err != nil {
		return err
	}
	h, err := r.Open(s.t.ctx, s.t.tree, s.path)
	if err != nil {
		return err
	}
	defer h.Close()
	n, err := h.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	return err
}
