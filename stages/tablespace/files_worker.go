package tablespace

import (
	"context"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/feed"
	"polarcast/stages/source"
	"polarcast/stages/work"
)

// held is how many items that are read, but not durable yet, a worker has at most besides the one that it reads.
const held = 3

// worker reads items one after the other.
type worker struct {
	s       *Files
	st      pipeline.State
	session uint32
	src     source.Reader
	feed    *feed.Feed
	pages   *pageCheck
	buf     []byte // readSize
	arena   []byte // small files of one round trip
	compare bool   // an earlier session may have delivered what this one finds vanished
}

func (s *Files) worker(ctx context.Context, w *worker, prior *feed.Prior, queue *pipeline.WorkConsumer) error {
	fd, err := s.newFeed(ctx, w.st, w.session, prior, queue.Alive)
	if err != nil {
		return err
	}
	defer s.closed(fd)
	w.feed, w.compare = fd, w.session > 1 || prior != nil
	w.buf, w.arena = make([]byte, readSize), make([]byte, 0, readSize)
	room := make(chan struct{}, held)
	for {
		m, err := queue.Next(ctx)
		if err != nil {
			fd.Abort(err)
			return err
		}
		it, err := work.Decode(m.Data())
		if err == nil && it.Session != w.session {
			// A leftover of a lost session. Its own session's readers would find it taken; nobody wants it any more.
			err = m.Ack()
			if err == nil {
				continue
			}
		}
		if err == nil {
			err = w.item(ctx, it, m.Redelivered())
		}
		if err != nil {
			fd.Abort(err)
			_ = m.Nak()
			return err
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			fd.Abort(nil)
			return context.Cause(ctx)
		}
		if err := fd.Mark(func() { w.s.tell(); _ = m.Ack(); <-room }); err != nil {
			return err
		}
	}
}

// item reads one piece of work.
func (w *worker) item(ctx context.Context, it *work.Item, again bool) error {
	var done map[uint64]*feed.Done
	if again {
		// Somebody else began it. What he published is still on its way to the targets, and must not overtake what is published now.
		if err := w.s.cfg.Drained(ctx, nil); err != nil {
			return err
		}
		keys := make([]uint64, len(it.Files))
		for i := range it.Files {
			keys[i] = messages.PathKey(it.Files[i].Tree, it.Files[i].Path)
		}
		var err error
		if done, err = feed.LoadDone(ctx, w.s.cfg.Client, w.s.cfg.Backup, w.session, keys); err != nil {
			return err
		}
	}
	if it.IsRange() {
		return w.rangeOf(ctx, it, done[messages.PathKey(it.Files[0].Tree, it.Files[0].Path)])
	}
	return w.bundle(ctx, it.Files, done)
}

// bundle reads whole files.
func (w *worker) bundle(ctx context.Context, files []work.File, done map[uint64]*feed.Done) error {
	b, batches := w.src.(source.Batcher)
	for i := 0; i < len(files); {
		if batches && done == nil {
			n := smallRun(files[i:])
			if n > 1 {
				if err := w.small(ctx, b, files[i:i+n]); err != nil {
					return err
				}
				i += n
				continue
			}
		}
		f := files[i]
		if err := w.whole(ctx, f, done[messages.PathKey(f.Tree, f.Path)]); err != nil {
			return err
		}
		i++
	}
	return nil
}

// smallRun returns how many of the files are so small that they are read in one round trip.
func smallRun(files []work.File) int {
	bytes := int64(0)
	for i, f := range files {
		bytes += f.Size
		if f.Size > messages.ChunkSize || bytes > 4<<20 {
			return i
		}
	}
	return len(files)
}

// vanished publishes that a file which was listed is not part of the backup.
func (w *worker) vanished(f work.File, again bool) error {
	if !w.compare && !again {
		return nil
	}
	return w.feed.Put(messages.Record{Kind: messages.KindRemove, Tree: f.Tree, Path: f.Path})
}
