package storage

import (
	"archive/tar"
	"fmt"
	"io"
	"time"

	"polarcast/messages"
)

// archive is one tar file that is written from front to back.
type archive struct {
	name string
	out  io.Writer
	file *joinedFile // nil for standard output
	tw   *tar.Writer

	member string // the file that is open, "" when none
	pos    int64
	size   int64
	ended  bool
}

func newArchive(name string, out io.Writer, f *joinedFile) *archive {
	return &archive{name: name, out: out, file: f, tw: tar.NewWriter(out)}
}

func (a *archive) werr(err error) error {
	return fmt.Errorf("could not write to file \"%s\": %w", a.name, unwrap(err))
}

// header of a member as the source has it.
func header(member string, r *messages.Record, size int64) *tar.Header {
	mode := int64(r.Mode)
	if mode == 0 {
		mode = 0o600
	}
	return &tar.Header{Typeflag: tar.TypeReg, Name: member, Size: size, Mode: mode, Uid: int(r.UID), Gid: int(r.GID), Uname: "postgres",
		Gname: "postgres", ModTime: time.Unix(r.MTime, 0), Format: tar.FormatGNU}
}

func (a *archive) open(member string, r *messages.Record) error {
	if a.ended {
		return fmt.Errorf("archive \"%s\" is finished, but \"%s\" came after its end: start the backup again", a.name, member)
	}
	if a.member == member {
		return nil
	}
	if a.member != "" {
		return fmt.Errorf("parts of \"%s\" and \"%s\" came mixed into archive \"%s\": start the backup again", a.member, member, a.name)
	}
	if r.Size < 0 {
		return fmt.Errorf("the size of \"%s\" is not known, so it cannot go into archive \"%s\"", member, a.name)
	}
	if err := a.tw.WriteHeader(header(member, r, r.Size)); err != nil {
		return a.werr(err)
	}
	a.member, a.pos, a.size = member, 0, r.Size
	return nil
}

func (a *archive) data(member string, r *messages.Record, raw []byte) error {
	if err := a.open(member, r); err != nil {
		return err
	}
	if r.Offset < a.pos && r.Offset+int64(len(raw)) <= a.pos {
		return nil // delivered twice
	}
	if r.Offset != a.pos {
		return fmt.Errorf("byte %d of \"%s\" came when byte %d was expected in archive \"%s\": start the backup again", r.Offset, member, a.pos, a.name)
	}
	if _, err := a.tw.Write(raw); err != nil {
		return a.werr(err)
	}
	a.pos += int64(len(raw))
	return nil
}

var zeros [64 << 10]byte

func (a *archive) seal(member string, r *messages.Record) error {
	if err := a.open(member, r); err != nil {
		return err
	}
	for a.pos < a.size {
		n := min(a.size-a.pos, int64(len(zeros)))
		if _, err := a.tw.Write(zeros[:n]); err != nil {
			return a.werr(err)
		}
		a.pos += n
	}
	a.member = ""
	if err := a.tw.Flush(); err != nil {
		return a.werr(err)
	}
	return nil
}

func (a *archive) directory(member string, r *messages.Record) error {
	h := header(member+"/", r, 0)
	h.Typeflag = tar.TypeDir
	if r.Mode == 0 {
		h.Mode = 0o700
	}
	return a.entry(h)
}

func (a *archive) symlink(member string, r *messages.Record) error {
	h := header(member, r, 0)
	h.Typeflag, h.Linkname = tar.TypeSymlink, string(r.Payload)
	return a.entry(h)
}

func (a *archive) entry(h *tar.Header) error {
	if a.ended || a.member != "" {
		return fmt.Errorf("\"%s\" came in the middle of archive \"%s\": start the backup again", h.Name, a.name)
	}
	if err := a.tw.WriteHeader(h); err != nil {
		return a.werr(err)
	}
	return nil
}

// whole adds a file that is in memory or in a temporary file.
func (a *archive) whole(h *tar.Header, content io.Reader) error {
	if err := a.entry(h); err != nil {
		return err
	}
	if _, err := io.Copy(a.tw, content); err != nil {
		return a.werr(err)
	}
	return nil
}

// finish writes the end of the archive.
func (a *archive) finish() error {
	if a.ended {
		return nil
	}
	if a.member != "" {
		return fmt.Errorf("archive \"%s\" ends in the middle of \"%s\": start the backup again", a.name, a.member)
	}
	a.ended = true
	if err := a.tw.Close(); err != nil {
		return a.werr(err)
	}
	if c, ok := a.out.(io.Closer); ok && a.file != nil {
		if err := c.Close(); err != nil {
			return a.werr(err)
		}
	}
	return nil
}

// flush writes what was joined, and makes it durable as asked.
func (a *archive) flush(m SyncMethod) error {
	if a.file == nil {
		return nil
	}
	if err := a.file.Flush(); err != nil {
		return a.werr(err)
	}
	if m == SyncNone {
		return nil
	}
	if err := a.file.Sync(); err != nil {
		return fmt.Errorf("could not fsync file \"%s\": %w", a.name, unwrap(err))
	}
	return nil
}

func (a *archive) close() {
	if a.file != nil {
		a.file.Close()
	}
}

// appender writes a file from front to back.
type appender struct {
	f  *joinedFile
	at int64
}

func (a *appender) Write(p []byte) (int, error) {
	n, err := a.f.WriteAt(p, a.at)
	a.at += int64(n)
	return n, err
}
