package tablespace

import (
	"errors"
	"fmt"
	"io"
	"os"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/feed"
)

// manifests makes a manifest for each tree of PolarDB from the server's single one. The server's lists the files of both trees without
// saying in which they are, so that names come twice, and pg_verifybackup refuses it. They are kept in temporary files: one with many
// files is larger than memory should be asked for.
type manifests struct {
	trees [2]*treeManifest // by messages.TreeLocal and messages.TreeShared
}

type treeManifest struct {
	file *os.File
	w    *postgres.ManifestWriter
}

// newManifests begins both manifests, in files without a name in dir.
func newManifests(dir string, st pipeline.State) (*manifests, error) {
	m := &manifests{}
	for i := range m.trees {
		f, err := os.CreateTemp(dir, "manifest-")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("could not create a temporary file for the backup manifest: %w", err), m.Close())
		}
		_ = os.Remove(f.Name())
		t := &treeManifest{file: f}
		m.trees[i] = t
		t.w, err = postgres.NewManifestWriter(f, postgres.ManifestOptions{Version: 1, ForceEncode: st.Requested.Options.Manifest == "force-encode"})
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	return m, nil
}

func (m *manifests) add(t messages.Tree, f *postgres.ManifestFile) error {
	if m == nil || m.trees[t] == nil {
		return nil
	}
	return m.trees[t].w.AddFile(*f)
}

// publish ends the manifests and puts each into its tree. WAL is in the shared tree, so only that manifest says which WAL belongs to it.
func (m *manifests) publish(fd *feed.Feed, wal []postgres.ManifestWALRange) error {
	ranges := [2][]postgres.ManifestWALRange{messages.TreeShared: wal}
	if m.trees[messages.TreeShared] == nil {
		ranges[messages.TreeLocal] = wal
	}
	for tree, t := range m.trees {
		if t == nil {
			continue
		}
		if err := t.w.Close(ranges[tree]); err != nil {
			return err
		}
		size, err := t.file.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		if err := fd.StartFile(messages.Record{Tree: messages.Tree(tree), Path: manifestName}, size); err != nil {
			return err
		}
		if _, err := io.Copy(feedWriter{fd}, io.NewSectionReader(t.file, 0, size)); err != nil {
			return err
		}
		if err := fd.EndFile(); err != nil {
			return err
		}
	}
	return nil
}

// Close gives up the temporary files.
func (m *manifests) Close() error {
	if m == nil {
		return nil
	}
	var errs []error
	for _, t := range m.trees {
		if t != nil {
			errs = append(errs, t.file.Close())
		}
	}
	return errors.Join(errs...)
}

// feedWriter writes into the open file of a feed.
type feedWriter struct{ fd *feed.Feed }

func (w feedWriter) Write(p []byte) (int, error) {
	if err := w.fd.Write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}
