package storage

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"polarcast/messages"
	"polarcast/stages/target"
)

// heldFile is kept in a temporary file until it is whole: its final size or content is not known before.
type heldFile struct {
	f   *os.File
	rec messages.Record
	end bool
}

func (h *heldFile) close() { h.f.Close() }

// isHeld reports whether a member of an archive is written when it is whole.
func (t *tarSink) isHeld(archive, member string) bool {
	if archive != mainArchive {
		return false
	}
	if member == "backup_manifest" {
		return true
	}
	for _, in := range t.opts.Inject {
		if in.Name == member {
			return true
		}
	}
	return false
}

// hold takes a record of such a file.
func (t *tarSink) hold(b *Batch, r *messages.Record, key uint64, member string) error {
	h := t.held[member]
	if h == nil {
		f, err := os.CreateTemp("", "polarcast-tar-")
		if err != nil {
			return fmt.Errorf("could not create a temporary file for \"%s\": %w", member, unwrap(err))
		}
		_ = os.Remove(f.Name())
		h = &heldFile{f: f, rec: *r}
		h.rec.Payload = nil
		t.held[member] = h
	}
	if r.Kind == messages.KindData {
		raw, err := r.Decompress(t.raw[:0])
		if err != nil {
			return fmt.Errorf("chunk at %d of file %q: %w", r.Offset, r.Path, err)
		}
		if _, err := h.f.WriteAt(raw, r.Offset); err != nil {
			return fmt.Errorf("could not write a temporary file for \"%s\": %w", member, unwrap(err))
		}
		b.Range(r, key)
		return nil
	}
	h.end, h.rec.Size = true, r.Size
	b.Done(r, key, messages.ReceiptSealed)
	return nil
}

// inject writes the held files to where they belong: the manifest beside the archives, or into the only one, the others into the main archive.
func (t *tarSink) inject(a *archive) error {
	for _, in := range t.opts.Inject {
		rec := messages.Record{Mode: uint32(t.layout.Config().FileMode), MTime: time.Now().Unix()}
		var content io.Reader = strings.NewReader(in.Content)
		size := int64(len(in.Content))
		if h := t.held[in.Name]; h != nil && in.Append {
			rec = h.rec
			size += h.rec.Size
			content = io.MultiReader(io.NewSectionReader(h.f, 0, h.rec.Size), content)
		}
		if err := a.whole(header(in.Name, &rec, size), content); err != nil {
			return err
		}
	}
	m := t.held["backup_manifest"]
	if m == nil {
		return nil
	}
	if m.rec.Mode == 0 {
		m.rec.Mode = uint32(t.layout.Config().FileMode)
	}
	src := io.NewSectionReader(m.f, 0, m.rec.Size)
	if t.opts.Out != nil {
		return a.whole(header("backup_manifest", &m.rec, m.rec.Size), src)
	}
	name := t.layout.Dir() + "/" + target.ManifestPending
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, t.layout.Config().FileMode)
	if err != nil {
		return fmt.Errorf("could not create file \"%s\": %w", name, unwrap(err))
	}
	defer f.Close()
	if _, err := io.Copy(f, src); err != nil {
		return fmt.Errorf("could not write to file \"%s\": %w", name, unwrap(err))
	}
	if t.sync != SyncNone {
		if err := f.Sync(); err != nil {
			return fmt.Errorf("could not fsync file \"%s\": %w", name, unwrap(err))
		}
	}
	return nil
}
