package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"polarcast/internal/postgres"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/target"
)

// refreshManifest makes the manifest of the data directory speak of the files that were changed here, so that pg_verifybackup accepts the node as it
// accepts a plain copy. The checksums of all other files stay. Done again it writes the same.
func (e *editor) refreshManifest(st pipeline.State) error {
	name := e.path(target.ManifestPending)
	if !exists(pfs.Local(), name) {
		name = e.path("backup_manifest")
	}
	in, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not open file \"%s\": %w", name, err)
	}
	defer in.Close()
	tmp := name + ".polarcast"
	out, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, e.mode)
	if err != nil {
		return fmt.Errorf("could not create file \"%s\": %w", tmp, err)
	}
	err = e.rewrite(out, in, st)
	if err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err == nil {
		err = pfs.Local().SyncDir(e.dir)
	}
	if err != nil {
		return fmt.Errorf("could not bring file \"%s\" up to date: %w", name, err)
	}
	return nil
}

// rewrite copies a manifest without the files that were touched, and adds those of them that exist.
func (e *editor) rewrite(out io.Writer, in io.Reader, st pipeline.State) error {
	id, err := strconv.ParseUint(st.Prepared.SystemID, 10, 64)
	if err != nil {
		return err
	}
	w, err := postgres.NewManifestWriter(out, postgres.ManifestOptions{Version: postgres.ManifestVersion(st.Prepared.ServerVersion), SystemID: id,
		ForceEncode: st.Requested.Options.Manifest == "force-encode"})
	if err != nil {
		return err
	}
	algorithm := postgres.ChecksumNone
	r := postgres.NewManifestReader(func(f *postgres.ManifestFile) error {
		algorithm = f.Algorithm
		if slices.Contains(e.touched, f.Path) {
			return nil
		}
		return w.AddFile(*f)
	})
	if _, err := io.Copy(r, in); err != nil {
		return err
	}
	info, err := r.Close()
	if err != nil {
		return err
	}
	slices.Sort(e.touched)
	for _, n := range slices.Compact(e.touched) {
		f, there, err := e.entry(n, algorithm)
		if err != nil {
			return err
		}
		if there {
			if err := w.AddFile(f); err != nil {
				return err
			}
		}
	}
	return w.Close(info.WALRanges)
}

// entry describes a file of the data directory as it is now.
func (e *editor) entry(name string, algorithm postgres.ChecksumAlgorithm) (postgres.ManifestFile, bool, error) {
	b, there, err := e.read(name)
	if err != nil || !there {
		return postgres.ManifestFile{}, false, err
	}
	info, err := os.Stat(e.path(name))
	if err != nil {
		return postgres.ManifestFile{}, false, err
	}
	f := postgres.ManifestFile{Path: name, Size: int64(len(b)), Algorithm: algorithm, LastModified: info.ModTime()}
	if h := algorithm.New(); h != nil {
		h.Write(b)
		f.Checksum = h.Sum(nil)
	}
	return f, true, nil
}
