package tablespace

import (
	"fmt"

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
	name := h.Name
	if h.Unsafe != nil {
		own, ok := statusName(h.RawName)
		if !ok || r.tree != messages.TreeShared {
			return fmt.Errorf("the server sent a file named %q, which does not stay inside of the data directory: %w", h.RawName, h.Unsafe)
		}
		name = own
	}
	path := r.prefix + name
	if err := messages.ValidPath(path); err != nil {
		return fmt.Errorf("the server sent a file named %q: %w", h.RawName, err)
	}
	r.at(path)
	rec := messages.Record{Tree: r.tree, Path: path, Mode: h.Mode & 0o7777, MTime: h.ModTime, UID: h.UID, GID: h.GID}
	if r.tree == messages.TreeShared || (r.shared && rec.Mode == 0o777) {
		rec.Mode = 0 // PFS shows every file as 0777: the target's own modes are right
	}
	if r.tree == messages.TreeLocal && r.prefix == "" && !r.kept(h.Type, path) {
		r.skip = true
		return nil
	}
	if h.Type == postgres.TarRegular && r.tree == messages.TreeLocal && r.leave(path) {
		r.check.leftOut(path)
		r.skip = true
		return nil
	}
	switch h.Type {
	case postgres.TarDirectory:
		if err := r.databaseDir(path); err != nil {
			return err
		}
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

// kept reports whether a member of the local tree is taken. What is left out is told to the check, since the server's manifest lists it.
func (r *reader) kept(typ postgres.TarType, path string) bool {
	if typ == postgres.TarDirectory {
		return r.part.keepDir(path)
	}
	if r.part.keep(path) {
		return true
	}
	if typ == postgres.TarRegular {
		r.check.leftOut(path)
	}
	return false
}

// databaseDir makes an empty directory in the local tree for a database of the shared tree: a node refuses to open a database without it.
func (r *reader) databaseDir(path string) error {
	if r.tree != messages.TreeShared || r.part.local != LocalConfig || !databaseDir.MatchString(path) {
		return nil
	}
	return r.localDir(path)
}

func (r *reader) localDir(path string) error {
	r.prior.Seen(messages.TreeLocal, path)
	return r.feed.Put(messages.Record{Kind: messages.KindDirectory, Tree: messages.TreeLocal, Path: path})
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
