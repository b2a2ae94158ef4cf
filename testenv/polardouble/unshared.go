package polardouble

import "os"

// sendEmptySpaces sends, on 11, an archive for each tablespace with its version directory only: the files are in the shared archive.
func (o *sender) sendEmptySpaces(r *backupRun) error {
	for _, a := range r.archives {
		if a.oid == "" {
			continue
		}
		if err := o.begin("", ""); err != nil {
			return err
		}
		h := newHeader("PG_11_201809051/", '5', 0)
		h.seal()
		if err := o.data(h[:]); err != nil {
			return err
		}
		if err := o.end(); err != nil {
			return err
		}
	}
	return nil
}

// sendUnshared sends the archives as the real server made them.
func (o *sender) sendUnshared(r *backupRun, cmd backupCommand) error {
	for _, a := range r.archives {
		info, err := a.file.Stat()
		if err != nil {
			return err
		}
		name := "base.tar"
		if a.oid != "" {
			name = a.oid + ".tar"
		}
		size := info.Size()
		if o.s.d.Major >= 15 {
			size -= 2 * block // archive adds them
		}
		if err := o.archive(name+suffix(cmd.compression), a.location, cmd.compression, a.file, size); err != nil {
			return err
		}
	}
	if r.manifest == nil {
		return nil
	}
	text, err := os.ReadFile(r.manifest.Name())
	if err != nil {
		return err
	}
	return o.manifest(text)
}
