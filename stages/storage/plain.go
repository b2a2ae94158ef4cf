package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/stages/target"
)

// writebackBytes is how much of a file is written before the kernel is asked to start writing it back, so that the sync of the batch finds
// little left to do.
const writebackBytes = 8 << 20

// directBytes is the size from which on a file goes around the page cache, in bytes. Below it the kernel joins the writes of many files better.
const directBytes = 1 << 20

// plain writes files by position into a target's directories.
type plain struct {
	layout *target.Layout
	sync   SyncMethod
	files  *fileCache
	raw    []byte // scratch for decompression
	// alone makes this process the only one of the target that writes parts of sectors, until the returned function is called.
	alone func() (release func(), err error)
}

func newPlain(l *target.Layout, m SyncMethod, alone func() (func(), error), beats *pulse) *plain {
	cfg := l.Config()
	p := &plain{layout: l, sync: m, files: newFileCache(cfg.FileMode, cfg.DirMode), raw: make([]byte, 0, messages.ChunkSize), alone: alone}
	p.files.pulse = beats
	return p
}

func (p *plain) Close() error { return p.files.close() }

// Apply puts one record in place. Records of one file may come in any order within a session.
func (p *plain) Apply(b *Batch, r *messages.Record) error {
	if err := p.files.pulse.alive(); err != nil {
		return err
	}
	key := messages.PathKey(r.Tree, r.Path)
	if p.layout.Skips(r.Tree) {
		p.skip(b, r, key)
		return nil
	}
	at, err := p.layout.Resolve(r.Tree, r.Path)
	if err != nil {
		return err
	}
	switch r.Kind {
	case messages.KindData:
		if err := p.data(b, r, at); err != nil {
			return err
		}
		b.Range(r, key)
		return nil
	case messages.KindSeal:
		if err := p.seal(b, r, at); err != nil {
			return err
		}
	case messages.KindDirectory:
		if err := p.directory(b, r, at); err != nil {
			return err
		}
	case messages.KindSymlink:
		if err := p.symlink(b, r, at); err != nil {
			return err
		}
	case messages.KindRemove:
		if err := p.remove(b, at); err != nil {
			return err
		}
		b.Done(r, key, messages.ReceiptRemoved)
		return nil
	case messages.KindEnd:
	default:
		return fmt.Errorf("record of kind %d for %q is not known: a newer polarcast sent it; update this one", r.Kind, r.Path)
	}
	b.Done(r, key, messages.ReceiptSealed)
	return nil
}

// skip accounts for a record that the target does not want, so that the target can be found complete.
func (p *plain) skip(b *Batch, r *messages.Record, key uint64) {
	switch r.Kind {
	case messages.KindData:
		b.Range(r, key)
	case messages.KindRemove:
		b.Done(r, key, messages.ReceiptRemoved)
	default:
		b.Done(r, key, messages.ReceiptSealed)
	}
}

func (p *plain) data(b *Batch, r *messages.Record, at target.Place) error {
	raw, err := r.Decompress(p.raw[:0])
	if err != nil {
		return fmt.Errorf("chunk at %d of file %q: %w", r.Offset, r.Path, err)
	}
	h, err := p.files.get(b, at, p.direct(r))
	if err != nil {
		return err
	}
	if r.Codec == messages.CodecZero {
		size, err := h.size()
		if err != nil {
			return err
		}
		if size <= r.Offset {
			return nil // the seal sets the size; what was never written reads as zeros
		}
	}
	if sharesSector(r, at.FS.Info().Align) {
		return p.writeAlone(h, raw, r.Offset)
	}
	if _, err := h.f.WriteAt(raw, r.Offset); err != nil {
		return fmt.Errorf("could not write to file \"%s\": %w", at.Path, unwrap(err))
	}
	h.sinceWriteback += int64(len(raw))
	if p.sync != SyncNone && h.sinceWriteback >= writebackBytes {
		_ = h.f.StartSync(0, 0) // advice only: the commit's sync decides
		h.sinceWriteback = 0
	}
	return nil
}

// sharesSector reports whether a record holds a part of a sector of which another record has the rest: WAL that was published while its sender was
// silent, and what came after it. pfsd changes sectors by reading and writing them whole, without a lock, so two processes that write such records at
// the same time would lose one of them.
func sharesSector(r *messages.Record, align int) bool {
	if align == 0 {
		return false
	}
	end := r.Offset + int64(r.RawLen)
	return r.Offset%int64(align) != 0 || end%int64(align) != 0 && end != r.Size
}

// writeAlone writes to the disk while no other process of the target writes parts of sectors.
func (p *plain) writeAlone(h *handle, raw []byte, off int64) error {
	release, err := p.alone()
	if err != nil {
		return err
	}
	defer release()
	if _, err := h.f.WriteAt(raw, off); err != nil {
		return fmt.Errorf("could not write to file \"%s\": %w", h.at.Path, unwrap(err))
	}
	return h.flush()
}

// direct says whether a file goes around the page cache. WAL does not: it comes in small pieces, and the node reads it first of all. Nor does what is not
// synchronised: there the page cache is what the user wants.
func (p *plain) direct(r *messages.Record) bool {
	return p.sync != SyncNone && r.Size >= directBytes && r.Tree != messages.TreeWAL
}

// seal gives the file its mode, and with the batch its final size. It creates files that have no bytes.
func (p *plain) seal(b *Batch, r *messages.Record, at target.Place) error {
	h, err := p.files.get(b, at, p.direct(r))
	if err != nil {
		return err
	}
	b.files[h] = r.Size
	if p.sync != SyncNone && h.sinceWriteback > 0 && r.Size > smallFile {
		_ = h.f.StartSync(0, 0)
	}
	h.sinceWriteback = 0
	return p.chmod(at, r.Mode, p.files.fileMode)
}

// chmod applies the mode of the source where it differs from the mode that files are created with. Mode 0 says that the source has none to
// take over (PFS shows every file as 0777).
func (p *plain) chmod(at target.Place, mode uint32, created fs.FileMode) error {
	m := fs.FileMode(mode) & fs.ModePerm
	if m == 0 || m == created {
		return nil
	}
	if err := at.FS.Chmod(at.Path, m); err != nil {
		return fmt.Errorf("could not set permissions on file \"%s\": %w", at.Path, unwrap(err))
	}
	return nil
}

func (p *plain) directory(b *Batch, r *messages.Record, at target.Place) error {
	err := pfs.MkdirAll(at.FS, at.Path, p.files.dirMode)
	if errors.Is(err, syscall.ENOTDIR) {
		// An old copy has a file there.
		if err := p.remove(b, at); err != nil {
			return err
		}
		err = pfs.MkdirAll(at.FS, at.Path, p.files.dirMode)
	}
	if err != nil {
		return fmt.Errorf("could not create directory \"%s\": %w", at.Path, unwrap(err))
	}
	b.dirs[dirKey{at.FS, path.Dir(at.Path)}] = struct{}{}
	return p.chmod(at, r.Mode, p.files.dirMode)
}

// symlink makes the link of a user tablespace. Other links are made as the source has them.
func (p *plain) symlink(b *Batch, r *messages.Record, at target.Place) error {
	to := string(r.Payload)
	if oid, ok := strings.CutPrefix(r.Path, "pg_tblspc/"); ok {
		source := to
		if to = p.layout.Link(oid, source); to != source {
			// PolarDB 15 has no files there, but a link that leads nowhere is an error for pg_verifybackup.
			if err := pfs.MkdirAll(at.FS, to, p.files.dirMode); err != nil {
				return fmt.Errorf("could not create directory \"%s\": %w", to, unwrap(err))
			}
		}
	}
	if err := pfs.MkdirAll(at.FS, path.Dir(at.Path), p.files.dirMode); err != nil {
		return fmt.Errorf("could not create directory \"%s\": %w", path.Dir(at.Path), unwrap(err))
	}
	b.dirs[dirKey{at.FS, path.Dir(at.Path)}] = struct{}{}
	if have, err := os.Readlink(at.Path); err == nil {
		if have == to {
			return nil
		}
		if err := os.Remove(at.Path); err != nil {
			return fmt.Errorf("could not remove symbolic link \"%s\": %w", at.Path, unwrap(err))
		}
	}
	if err := os.Symlink(to, at.Path); err != nil {
		return fmt.Errorf("could not create symbolic link from \"%s\" to \"%s\": %w", at.Path, to, unwrap(err))
	}
	return nil
}

// remove deletes what a later session no longer lists.
func (p *plain) remove(b *Batch, at target.Place) error {
	p.files.forget(b, at)
	b.dirs[dirKey{at.FS, path.Dir(at.Path)}] = struct{}{}
	if at.FS.Info().Symlinks {
		// Where a directory above is a file now, it is gone.
		if err := os.RemoveAll(at.Path); err != nil && !errors.Is(err, syscall.ENOTDIR) {
			return fmt.Errorf("could not remove \"%s\": %w", at.Path, unwrap(err))
		}
		return nil
	}
	if err := pfs.RemoveAll(at.FS, at.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("could not remove \"%s\": %w", at.Path, unwrap(err))
	}
	return nil
}

// Commit gives the files of a batch their sizes and synchronises them and its directories.
func (p *plain) Commit(ctx context.Context, b *Batch) error {
	defer p.files.release(b)
	if p.sync != SyncFsync {
		for h, size := range b.files {
			if err := h.finish(size); err != nil {
				return err
			}
		}
	}
	return syncBatch(ctx, p.sync, b)
}
