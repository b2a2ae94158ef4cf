package tablespace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/feed"
)

// fetchWait is how long the server may take to send something before its connection is looked at again.
const fetchWait = time.Second

// fetched takes the WAL of a backup with --wal-method=fetch from PolarDB in shared-storage mode. Its server does not switch to a new segment at the end of
// a backup (polar_enable_switch_wal_in_backup is off), so that the record that ends the backup is often not on disk when it sends its WAL: a node
// from such a backup stops with "WAL ends before end of online backup". Therefore the server is not asked for WAL; it is streamed
// after the files, up to the end position and into the same place.
type fetched struct {
	conn *postgres.Conn
	slot string
}

// reserve makes a temporary slot, so that the server keeps what will be needed. It returns nil when the backup does not fetch WAL, or its server
// can be trusted with it.
func (s *Stage) reserve(ctx context.Context, st pipeline.State) (*fetched, error) {
	if st.Requested.WALMethod != "fetch" || !stages.SharedStorage(st) {
		return nil, nil
	}
	conn, err := s.cfg.Connect(ctx)
	if err != nil {
		return nil, err
	}
	f := &fetched{conn: conn, slot: fmt.Sprintf("pg_basebackup_%d", conn.BackendPID())}
	if err := conn.CreatePhysicalSlot(ctx, f.slot, true, true); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return f, nil
}

// close ends the connection, and the slot with it.
func (f *fetched) close() {
	if f != nil {
		f.conn.Close()
	}
}

// copy publishes the segments from the one that holds start to the one that holds end.
func (f *fetched) copy(ctx context.Context, fd *feed.Feed, start, end postgres.LSN, tli uint32, size int64) error {
	if f == nil {
		return nil
	}
	if tli > 1 {
		name, content, err := f.conn.TimelineHistory(ctx, tli)
		if err != nil {
			return err
		}
		if err := putFile(fd, "pg_wal/"+name, content); err != nil {
			return err
		}
		if err := putFile(fd, "pg_wal/archive_status/"+name+".done", nil); err != nil {
			return err
		}
	}
	pos := start - start%postgres.LSN(size)
	ws, err := f.conn.StartReplication(ctx, f.slot, pos, tli)
	if err != nil {
		return err
	}
	w := &segments{fd: fd, pos: pos, tli: tli, size: size}
	for w.pos < end {
		m, err := ws.Receive(time.Now().Add(fetchWait))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), err == nil && m.Keepalive:
			if err := ws.SendStatus(w.pos, w.pos, 0, false); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("could not receive WAL up to the end of the backup at %s: %w", end, err)
		default:
			if err := w.write(m.Start, m.Data); err != nil {
				return err
			}
		}
	}
	return w.end()
}

// segments cuts WAL into segment files of the shared tree.
type segments struct {
	fd   *feed.Feed
	pos  postgres.LSN
	tli  uint32
	size int64
	open bool
}

func (w *segments) write(start postgres.LSN, p []byte) error {
	if start != w.pos {
		return fmt.Errorf("got WAL data at %s, expected %s", start, w.pos)
	}
	for len(p) > 0 {
		if !w.open {
			name := "pg_wal/" + postgres.SegmentName(w.tli, w.pos, w.size)
			if err := w.fd.StartFile(messages.Record{Tree: messages.TreeShared, Path: name}, w.size); err != nil {
				return err
			}
			w.open = true
		}
		n := min(int64(len(p)), w.size-int64(uint64(w.pos)%uint64(w.size)))
		if err := w.fd.Write(p[:n]); err != nil {
			return err
		}
		w.pos += postgres.LSN(n)
		p = p[n:]
		if uint64(w.pos)%uint64(w.size) == 0 {
			if err := w.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// end seals the open segment, whose rest reads as zeros, and marks it as archived: a node must not archive it again.
func (w *segments) end() error {
	if !w.open {
		return nil
	}
	w.open = false
	if err := w.fd.EndPartial(w.size); err != nil {
		return err
	}
	return putFile(w.fd, "pg_wal/archive_status/"+postgres.SegmentName(w.tli, w.pos-1, w.size)+".done", nil)
}

func putFile(fd *feed.Feed, path string, content []byte) error {
	if err := fd.StartFile(messages.Record{Tree: messages.TreeShared, Path: path}, int64(len(content))); err != nil {
		return err
	}
	if len(content) > 0 {
		if err := fd.Write(content); err != nil {
			return err
		}
	}
	return fd.EndFile()
}
