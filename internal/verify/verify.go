package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages/target"
)

// entry is one file of the manifest.
type entry struct {
	size      int64
	algorithm postgres.ChecksumAlgorithm
	sum       []byte
	found     bool
}

type verifier struct {
	o       Options
	ignore  []string
	entries map[string][]*entry
	rep     *Report
	info    *postgres.ManifestInfo
}

// Run verifies a directory. Deviations are in the report; an error says that it could not be verified at all.
func Run(ctx context.Context, o Options) (*Report, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if o.Manifest == "" {
		o.Manifest = filepath.Join(dir, postgres.ManifestFileName)
	}
	if b := target.Owner(dir); b != "" {
		return nil, fmt.Errorf("directory \"%s\" is not complete: backup \"%s\" is being received into it", dir, b)
	}
	v := &verifier{o: o, entries: map[string][]*entry{}, rep: &Report{Directory: dir, WALRanges: []WALRange{}, Problems: []Problem{}}}
	v.ignore = append([]string{postgres.ManifestFileName, "pg_wal", "postgresql.auto.conf", "recovery.signal", "standby.signal"}, o.Ignore...)
	if err := v.readManifest(); err != nil {
		return nil, err
	}
	// A tablespace in the data directory is looked at as a tablespace, where the manifest has it.
	v.ignore = append(v.ignore, target.SpacesWithin(dir)...)
	roots := []string{dir}
	if s := v.shared(); s != "" {
		roots = append(roots, s)
	}
	for _, r := range roots {
		if err := v.walk(ctx, r, ""); err != nil {
			return nil, err
		}
	}
	v.missing()
	v.system(roots)
	slices.SortStableFunc(v.rep.Problems, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	v.rep.OK = len(v.rep.Problems) == 0
	return v.rep, nil
}

// shared returns PolarDB's shared tree, "" when there is none.
func (v *verifier) shared() string {
	if v.o.Shared != "" {
		return v.o.Shared
	}
	dir := filepath.Join(v.o.Dir, target.SharedDefault)
	if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
		return ""
	}
	v.ignore = append(v.ignore, target.SharedDefault)
	return dir
}

func (v *verifier) readManifest() error {
	f, err := os.Open(v.o.Manifest)
	if err != nil {
		return fmt.Errorf("could not open file \"%s\": %w", v.o.Manifest, reason(err))
	}
	defer f.Close()
	r := postgres.NewManifestReader(func(m *postgres.ManifestFile) error {
		if v.ignored(m.Path) {
			return nil
		}
		v.entries[m.Path] = append(v.entries[m.Path], &entry{size: m.Size, algorithm: m.Algorithm, sum: bytes.Clone(m.Checksum)})
		v.rep.Bytes += m.Size
		return nil
	})
	if _, err := io.Copy(r, f); err != nil {
		return fmt.Errorf("could not read manifest \"%s\": %w", v.o.Manifest, reason(err))
	}
	if v.info, err = r.Close(); err != nil {
		return fmt.Errorf("manifest \"%s\": %w", v.o.Manifest, err)
	}
	v.rep.Files, v.rep.ManifestVersion = v.info.Files, v.info.Version
	if v.info.SystemID != 0 {
		v.rep.SystemID = fmt.Sprint(v.info.SystemID)
	}
	for _, w := range v.info.WALRanges {
		v.rep.WALRanges = append(v.rep.WALRanges, WALRange{w.Timeline, messages.LSN(w.Start), messages.LSN(w.End)})
	}
	return nil
}

// ignored reports whether a path, or a directory above it, is left out.
func (v *verifier) ignored(path string) bool {
	for _, i := range v.ignore {
		if path == i || strings.HasPrefix(path, i+"/") {
			return true
		}
	}
	return false
}

func (v *verifier) problem(path, kind, format string, args ...any) {
	v.rep.Problems = append(v.rep.Problems, Problem{path, kind, fmt.Sprintf(format, args...)})
}

// walk looks at all below a directory. Links are followed: they lead to tablespaces.
func (v *verifier) walk(ctx context.Context, root, rel string) error {
	entries, err := os.ReadDir(filepath.Join(root, rel))
	if err != nil {
		if rel == "" {
			return fmt.Errorf("could not open directory \"%s\": %w", root, reason(err))
		}
		v.problem(rel, KindRead, "could not open directory \"%s\": %s", rel, reason(err))
		return nil
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		p := e.Name()
		if rel != "" {
			p = rel + "/" + p
		}
		if v.ignored(p) {
			continue
		}
		fi, err := os.Stat(filepath.Join(root, p))
		switch {
		case err != nil:
			v.problem(p, KindRead, "could not stat file or directory \"%s\": %s", p, reason(err))
		case fi.IsDir():
			if err := v.walk(ctx, root, p); err != nil {
				return err
			}
		case !fi.Mode().IsRegular():
			v.problem(p, KindRead, "\"%s\" is not a file or directory", p)
		default:
			v.file(ctx, root, p, fi.Size())
		}
	}
	return nil
}

// missing names what was not found.
func (v *verifier) missing() {
	for p, es := range v.entries {
		for _, e := range es {
			if !e.found {
				v.problem(p, KindMissing, "\"%s\" is present in the manifest but not on disk", p)
			}
		}
	}
}

// system compares the copy with the system identifier that manifests of version 2 have.
func (v *verifier) system(roots []string) {
	const control = "global/pg_control"
	for _, r := range slices.Backward(roots) {
		b, err := os.ReadFile(filepath.Join(r, control))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			v.problem(control, KindRead, "could not read file \"%s\": %s", control, reason(err))
			return
		}
		c, err := postgres.ParseControl(b)
		if err != nil {
			v.problem(control, KindChecksum, "file \"%s\": %s", control, err)
			return
		}
		if v.info.SystemID != 0 && c.SystemID != v.info.SystemID {
			v.problem(control, KindSystem, "system identifier differs: the manifest has %d, pg_control %d", v.info.SystemID, c.SystemID)
		}
		return
	}
}

// reason drops the operation and the path that Go adds: the message names the path already.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
