package tablespace

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages/feed"
)

// manifestName is the name of a manifest in its tree.
const manifestName = "backup_manifest"

// reader cuts the archives of BASE_BACKUP into files.
type reader struct {
	feed   *feed.Feed
	prior  *feed.Prior
	shared bool // the source is PolarDB
	check  *manifestCheck
	part   part
	twoPhase

	tree   messages.Tree
	prefix string // of member names in this archive
	skip   bool   // the bytes of the current member are dropped

	mu     sync.Mutex
	read   int64
	spaces int
	file   string
}

// position is what a person is told of the progress: bytes received, tablespaces begun, the file at hand.
func (r *reader) position() (int64, int, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read, r.spaces, r.file
}

func (r *reader) received(n int) {
	r.mu.Lock()
	r.read += int64(n)
	r.mu.Unlock()
}

func (r *reader) at(name string) {
	r.mu.Lock()
	r.file = name
	r.mu.Unlock()
}

// errLocalOnly ends the reading where the shared tree begins, when the node does not need it.
var errLocalOnly = errors.New("the local tree is read")

// all reads archives and manifest.
func (r *reader) all(bb *postgres.BaseBackup) error {
	for {
		it, err := bb.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch it.Kind {
		case postgres.ItemArchive:
			err = r.archive(bb, it)
		case postgres.ItemManifest:
			err = r.manifest(bb)
		case postgres.ItemProgress:
		default:
			err = fmt.Errorf("the server sent data outside of an archive")
		}
		if err != nil {
			return err
		}
	}
}

// archive reads one tar archive.
func (r *reader) archive(bb *postgres.BaseBackup, it postgres.Item) error {
	r.mu.Lock()
	r.spaces++
	r.mu.Unlock()
	r.tree, r.prefix = messages.TreeLocal, ""
	if t := it.Tablespace; t != nil {
		switch {
		case t.OID != 0:
			r.prefix = fmt.Sprintf("pg_tblspc/%d/", t.OID)
		case t.Shared:
			r.tree = messages.TreeShared
		}
	}
	if r.part.noShared && r.tree == messages.TreeShared {
		return errLocalOnly
	}
	if r.part.local == LocalConfig && r.tree == messages.TreeLocal && r.prefix == "" {
		for _, dir := range skeleton {
			if err := r.localDir(dir); err != nil {
				return err
			}
		}
	}
	tr := postgres.NewTarReader(r)
	if strings.HasSuffix(it.Name, ".tar") || it.Name == "" {
		for {
			d, err := r.next(bb)
			if err != nil || d == nil {
				return errors.Join(err, r.endArchive(tr, err))
			}
			if err := tr.Feed(d); err != nil {
				return err
			}
		}
	}
	return r.compressed(bb, it.Name, tr)
}

func (r *reader) endArchive(tr *postgres.TarReader, err error) error {
	if err != nil {
		return nil
	}
	return tr.Close()
}

// next returns the next bytes of the archive, nil at its end.
func (r *reader) next(bb *postgres.BaseBackup) ([]byte, error) {
	for {
		it, err := bb.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		switch it.Kind {
		case postgres.ItemData, postgres.ItemManifestData:
			r.received(len(it.Data))
			return it.Data, nil
		case postgres.ItemArchiveEnd:
			return nil, nil
		}
	}
}

// manifest passes the server's manifest on as a file, and reads it on the way.
func (r *reader) manifest(bb *postgres.BaseBackup) error {
	if err := r.feed.Settle(); err != nil {
		return err
	}
	// With two trees there are two manifests, which are made from this one; so is one that does not list all that the server sent.
	if err := r.rewrite(r.check); err != nil {
		return err
	}
	whole := r.check.split == nil
	if whole {
		if err := r.feed.StartFile(messages.Record{Path: manifestName}, -1); err != nil {
			return err
		}
	}
	for {
		it, err := bb.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		switch it.Kind {
		case postgres.ItemManifestData, postgres.ItemData:
			if err := r.check.feed(it.Data); err != nil {
				return err
			}
			if whole {
				if err := r.feed.Write(it.Data); err != nil {
					return err
				}
			}
		case postgres.ItemArchiveEnd:
			if whole {
				return r.feed.EndFile()
			}
			return r.check.publish(r.feed)
		}
	}
}
