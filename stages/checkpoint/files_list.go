package checkpoint

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages/source"
	"polarcast/stages/work"
)

const pfsBlock = 4 << 20

// listing is what a session has to read. Bundles of small files are spilled to a temporary file, so that memory does not grow with them.
type listing struct {
	spill *os.File
	w     *bufio.Writer
	large []*work.Item
	links []source.Entry // directories and links, in order of the listing

	files, bytes int64
	space        map[uint32]int64 // bytes by tablespace, 0 is the local tree
	shared       int64
	sharedFiles  int64    // with directories
	sharedBlocks int64    // of 4 MiB, PFS's unit of allocation
	left         []string // names of pg_twophase that were left out
}

// listAll lists the source.
func (s *session) listAll(ctx context.Context) (_ *listing, err error) {
	f, err := s.temp("list of files")
	if err != nil {
		return nil, err
	}
	l := &listing{spill: f, w: bufio.NewWriterSize(f, 256<<10), space: map[uint32]int64{}}
	defer func() {
		if err != nil { // the caller gets no listing then
			l.close()
		}
	}()
	plan := work.NewPlanner(s.n, work.Digest(s.st.Requested.Options) != nil || s.st.Requested.Options.Tar, l.add)
	err = s.src.List(ctx, func(e source.Entry) error {
		if err := messages.ValidPath(e.Path); err != nil {
			return fmt.Errorf("the source has a file named %q: %w", e.Path, err)
		}
		if s.elsewhere(e) {
			return nil
		}
		if s.future(e) {
			l.left = append(l.left, e.Path)
			return nil
		}
		if e.Kind == source.Symlink && s.st.Requested.Options.Tar {
			return nil // tablespace_map says where it leads
		}
		s.prior.Seen(e.Tree, e.Path)
		if e.Tree == messages.TreeShared {
			l.sharedFiles++
		}
		if e.Kind != source.File {
			l.links = append(l.links, e)
			return nil
		}
		if s.skip(e) {
			return nil
		}
		l.count(e)
		return plan.Add(work.File{Tree: e.Tree, Path: e.Path, Size: e.Size, Mode: e.Mode, MTime: e.MTime})
	})
	if err != nil {
		return nil, err
	}
	if l.large, err = plan.Finish(); err != nil {
		return nil, err
	}
	if err := l.w.Flush(); err != nil {
		return nil, fmt.Errorf("cannot write the list of files: %w", err)
	}
	s.prior.Seen(s.controlTree(), source.ControlFile)
	return l, nil
}

// future reports whether a file belongs to a transaction that was prepared after the start of the backup. Replay makes it again, and 17 and 18
// lose the transaction when it is there already.
func (s *session) future(e source.Entry) bool {
	name, ok := strings.CutPrefix(e.Path, "pg_twophase/")
	return ok && s.mode.NextXID != 0 && postgres.FutureTwoPhase(name, s.mode.NextXID)
}

// elsewhere reports whether a file is of a tablespace, and read below pg_tblspc.
func (s *session) elsewhere(e source.Entry) bool {
	return e.Tree == messages.TreeLocal && slices.ContainsFunc(s.within, func(dir string) bool { return strings.HasPrefix(e.Path, dir+"/") })
}

func (l *listing) count(e source.Entry) {
	l.files++
	l.bytes += e.Size
	if e.Tree == messages.TreeShared {
		l.shared += e.Size
		l.sharedBlocks += (e.Size + pfsBlock - 1) / pfsBlock
		return
	}
	l.space[spaceOf(e.Path)] += e.Size
}

// spaceOf returns the tablespace that a path of the local tree lies in, 0 for the data directory itself.
func spaceOf(path string) uint32 {
	rest, ok := strings.CutPrefix(path, "pg_tblspc/")
	if !ok {
		return 0
	}
	oid, _, _ := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(oid, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

func (l *listing) kb(oid uint32) int64 { return (l.space[oid] + 1023) / 1024 }
func (l *listing) sharedKB() int64     { return (l.shared + 1023) / 1024 }

// add spills one bundle.
func (l *listing) add(it *work.Item) error {
	b, err := it.Encode()
	if err != nil {
		return err
	}
	var n [4]byte
	binary.LittleEndian.PutUint32(n[:], uint32(len(b)))
	if _, err = l.w.Write(n[:]); err == nil {
		_, err = l.w.Write(b)
	}
	if err != nil {
		return fmt.Errorf("cannot write the list of files: %w", err)
	}
	return nil
}

// publish makes directories and links, and hands out the items: ranges of large files, the largest first, then bundles of small ones.
func (l *listing) publish(ctx context.Context, s *session) error {
	for _, e := range l.links {
		r := messages.Record{Kind: messages.KindDirectory, Tree: e.Tree, Path: e.Path, Mode: e.Mode, MTime: e.MTime}
		if e.Kind == source.Symlink {
			r.Kind, r.Mode, r.Payload = messages.KindSymlink, 0, []byte(e.Link)
		}
		if err := s.feed.Put(r); err != nil {
			return err
		}
	}
	// Archives are written from front to back: what one reader sends must not come into the middle of what another sends.
	wait := s.feed.Flush
	if s.st.Requested.Options.Tar {
		wait = s.feed.Sync
	}
	if err := wait(); err != nil {
		return err
	}
	client, backup := s.f.cfg.Client, s.f.cfg.Backup
	batch := make([][]byte, 0, 64)
	send := func(b []byte) error {
		if b != nil {
			batch = append(batch, b)
		}
		if len(batch) == 0 || b != nil && len(batch) < cap(batch) {
			return nil
		}
		err := client.PublishWork(ctx, backup, batch...)
		batch = batch[:0]
		return err
	}
	for _, it := range l.large {
		b, err := it.Encode()
		if err == nil {
			err = send(b)
		}
		if err != nil {
			return err
		}
	}
	if _, err := l.spill.Seek(0, io.SeekStart); err != nil {
		return err
	}
	rd := bufio.NewReaderSize(l.spill, 256<<10)
	for {
		var n [4]byte
		if _, err := io.ReadFull(rd, n[:]); errors.Is(err, io.EOF) {
			return send(nil)
		} else if err != nil {
			return fmt.Errorf("cannot read the list of files: %w", err)
		}
		b := make([]byte, binary.LittleEndian.Uint32(n[:]))
		if _, err := io.ReadFull(rd, b); err != nil {
			return fmt.Errorf("cannot read the list of files: %w", err)
		}
		if err := send(b); err != nil {
			return err
		}
	}
}

func (l *listing) close() {
	if l.spill != nil {
		l.spill.Close()
		l.spill = nil
	}
}
