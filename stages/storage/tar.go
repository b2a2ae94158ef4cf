package storage

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/stages/target"
)

// TarOptions says how archives are written.
type TarOptions struct {
	// Compression is "", "gzip", "lz4" or "zstd"; it is done here, on the client's side.
	Compression string
	Level       int // 0 is the method's default
	Workers     int // zstd only
	Long        bool
	// PlainWAL leaves the WAL archive uncompressed. pg_basebackup compresses it only when it compresses with gzip itself.
	PlainWAL bool
	// Out, when set, gets one archive with everything in it, and Dir is not used (-D -).
	Out io.Writer
	// Inject holds files that the source does not have, or that go into their place, by name in the main archive (--write-recovery-conf).
	Inject []Injected
}

// Injected is a file that is added to the main archive.
type Injected struct {
	Name    string
	Content string
	// Append puts Content after what the source has under that name; otherwise the source's file is left out.
	Append bool
}

// tarSink writes archives from front to back. Its records must come in the order in which they were published, so one storage process serves
// the target. What was written before a kill cannot be continued: the archives are begun again.
type tarSink struct {
	layout *target.Layout
	sync   SyncMethod
	opts   TarOptions
	open   map[string]*archive
	raw    []byte
	held   map[string]*heldFile // files that are written when they are whole
}

// NewTarSink returns the sink of a tar target.
func NewTarSink(l *target.Layout, m SyncMethod, o TarOptions) Sink {
	return &tarSink{layout: l, sync: m, opts: o, open: map[string]*archive{}, held: map[string]*heldFile{}, raw: make([]byte, 0, messages.ChunkSize)}
}

const (
	mainArchive   = "base"
	walArchive    = "pg_wal"
	sharedArchive = "data"
)

// place returns the archive of a record and its name there.
func (t *tarSink) place(r *messages.Record) (archive, name string) {
	one := t.opts.Out != nil
	switch r.Tree {
	case messages.TreeWAL:
		if one {
			return mainArchive, t.walPrefix() + r.Path
		}
		return walArchive, r.Path
	case messages.TreeShared:
		if one {
			return mainArchive, target.SharedDefault + "/" + r.Path
		}
		return sharedArchive, r.Path
	}
	if rest, ok := strings.CutPrefix(r.Path, "pg_tblspc/"); ok && !one {
		oid, below, ok := strings.Cut(rest, "/")
		if _, known := t.layout.Spaces()[oid]; ok && known {
			return oid, below
		}
	}
	return mainArchive, r.Path
}

func (t *tarSink) walPrefix() string {
	if _, dir := t.layout.Shared(); dir != "" {
		return target.SharedDefault + "/pg_wal/"
	}
	return "pg_wal/"
}

// Apply writes one record.
func (t *tarSink) Apply(b *Batch, r *messages.Record) error {
	key := messages.PathKey(r.Tree, r.Path)
	if r.Kind == messages.KindEnd {
		if err := t.end(b, r.Tree); err != nil {
			return err
		}
		b.Done(r, key, messages.ReceiptSealed)
		return nil
	}
	name, member := t.place(r)
	if t.isHeld(name, member) {
		return t.hold(b, r, key, member)
	}
	a, err := t.archive(name)
	if err != nil {
		return err
	}
	b.archives[a] = struct{}{}
	switch r.Kind {
	case messages.KindData:
		raw, err := r.Decompress(t.raw[:0])
		if err != nil {
			return fmt.Errorf("chunk at %d of file %q: %w", r.Offset, r.Path, err)
		}
		if err := a.data(member, r, raw); err != nil {
			return err
		}
		b.Range(r, key)
		return nil
	case messages.KindSeal:
		err = a.seal(member, r)
	case messages.KindDirectory:
		err = a.directory(member, r)
	case messages.KindSymlink:
		err = a.symlink(member, r)
	default:
		err = fmt.Errorf("a tar archive cannot take back \"%s\": start the backup again", r.Path)
	}
	if err != nil {
		return err
	}
	b.Done(r, key, messages.ReceiptSealed)
	return nil
}

// archive returns the open archive of a name.
func (t *tarSink) archive(name string) (*archive, error) {
	if a := t.open[name]; a != nil {
		return a, nil
	}
	if t.opts.Out != nil {
		return t.begin(name, newArchive("standard output", t.opts.Out, nil))
	}
	opts := t.opts
	if name == walArchive && opts.PlainWAL {
		opts.Compression = ""
	}
	file := filepath.Join(t.layout.Dir(), name+".tar"+suffix(opts.Compression))
	f, err := pfs.Local().Open(file, os.O_CREATE|os.O_RDWR|os.O_TRUNC, t.layout.Config().FileMode)
	if err != nil {
		return nil, fmt.Errorf("could not create file \"%s\": %w", file, unwrap(err))
	}
	if t.sync != SyncNone {
		f = pfs.Direct(f)
	}
	j := joinWrites(f, directJoins)
	w, err := compressor(&appender{f: j}, opts)
	if err != nil {
		j.Close()
		return nil, err
	}
	return t.begin(name, newArchive(file, w, j))
}

// begin opens an archive. The main one has an empty directory for PolarDB's shared tree: the other archive is extracted into it, and tar would make it
// with the modes of its user's mask.
func (t *tarSink) begin(name string, a *archive) (*archive, error) {
	t.open[name] = a
	if _, dir := t.layout.Shared(); name != mainArchive || dir == "" {
		return a, nil
	}
	mode := uint32(t.layout.Config().DirMode)
	return a, a.directory(target.SharedDefault, &messages.Record{Mode: mode, MTime: time.Now().Unix()})
}

// end finishes the archives of a stage: WAL has its own.
func (t *tarSink) end(b *Batch, tree messages.Tree) error {
	if tree == messages.TreeWAL {
		if a := t.open[walArchive]; a != nil {
			b.archives[a] = struct{}{}
			return a.finish()
		}
		return nil
	}
	a, err := t.archive(mainArchive)
	if err != nil {
		return err
	}
	if err := t.inject(a); err != nil {
		return err
	}
	for name, a := range t.open {
		if name == walArchive {
			continue
		}
		b.archives[a] = struct{}{}
		if err := a.finish(); err != nil {
			return err
		}
	}
	return nil
}

// Commit makes what was written so far durable.
func (t *tarSink) Commit(_ context.Context, b *Batch) error {
	for a := range b.archives {
		if err := a.flush(t.sync); err != nil {
			return err
		}
	}
	return nil
}

// Close gives up the files.
func (t *tarSink) Close() error {
	for _, a := range t.open {
		a.close()
	}
	for _, h := range t.held {
		h.close()
	}
	return nil
}
