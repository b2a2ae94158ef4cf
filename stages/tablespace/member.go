package tablespace

import (
	"fmt"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
)

// Header begins one member of an archive.
func (r *reader) Header(h *postgres.TarHeader) error {
	r.skip = false
	if h.Name == "" {
		r.skip = true
		return nil
	}
	if h.Unsafe != nil {
		if strings.Contains(h.RawName, "/archive_status/") {
			// PolarDB 15 names the archive status of fetched WAL by its place on the source: file-dio:///…/pg_wal/archive_status/….done, or an
			// absolute path on PFS. It says nothing that a new node needs.
			r.skip = true
			return nil
		}
		return fmt.Errorf("the server sent a file named %q, which does not stay inside of the data directory: %w", h.RawName, h.Unsafe)
	}
	path := r.prefix + h.Name
	if err := messages.ValidPath(path); err != nil {
		return fmt.Errorf("the server sent a file named %q: %w", h.RawName, err)
	}
	r.at(path)
	rec := messages.Record{Tree: r.tree, Path: path, Mode: h.Mode & 0o7777, MTime: h.ModTime, UID: h.UID, GID: h.GID}
	if r.tree == messages.TreeShared || (r.shared && rec.Mode == 0o777) {
		rec.Mode = 0 // PFS shows every file as 0777: the target's own modes are right
	}
	switch h.Type {
	case postgres.TarDirectory:
		rec.Kind = messages.KindDirectory
		r.prior.Seen(rec.Tree, rec.Path)
		r.skip = true
		return r.feed.Put(rec)
	case postgres.TarSymlink:
		rec.Kind, rec.Payload = messages.KindSymlink, []byte(h.Link)
		r.prior.Seen(rec.Tree, rec.Path)
		r.skip = true
		return r.feed.Put(rec)
	case postgres.TarRegular:
		return r.feed.StartFile(rec, h.Size)
	}
	return fmt.Errorf("the server sent %q as a member of type %q, which a base backup does not have", h.Name, string(h.Type))
}

// Data adds bytes of the current member.
func (r *reader) Data(p []byte) error {
	if r.skip {
		return nil
	}
	return r.feed.Write(p)
}

// End ends the current member.
func (r *reader) End() error {
	if r.skip {
		return nil
	}
	return r.feed.EndFile()
}
