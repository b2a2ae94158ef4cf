package polardouble

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Merge puts a local and a shared tree together into the data directory dst, which must not exist: what the server reads of the shared tree
// replaces the local copies. dst is for testenv.StartCopy with a real server of the double's major. A shared tree inside of the local one is not
// copied twice.
func Merge(t testing.TB, local, shared, dst string) {
	t.Helper()
	if err := os.Mkdir(dst, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tree := range []string{local, shared} {
		err := filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(tree, path)
			if err != nil {
				return err
			}
			if e.IsDir() && tree == local && path == filepath.Clean(shared) {
				return fs.SkipDir
			}
			return place(path, filepath.Join(dst, rel), e)
		})
		if err != nil {
			t.Fatalf("merge %s into %s: %v", tree, dst, err)
		}
	}
	if err := allowInPlace(dst); err != nil {
		t.Fatal(err)
	}
}

// allowInPlace lets PostgreSQL start with tablespaces that are directories in pg_tblspc and not links: those of the shared tree are.
func allowInPlace(dst string) error {
	spaces, err := os.ReadDir(filepath.Join(dst, "pg_tblspc"))
	if err != nil || len(spaces) == 0 {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dst, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("allow_in_place_tablespaces = on\n")
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// place copies one entry; a directory takes the place of a link (a tablespace whose files are in the shared tree).
func place(from, to string, e fs.DirEntry) error {
	info, err := os.Lstat(to)
	exists := err == nil
	switch {
	case e.IsDir():
		if exists && info.Mode()&fs.ModeSymlink != 0 {
			if err := os.Remove(to); err != nil {
				return err
			}
		}
		return os.MkdirAll(to, 0o700)
	case e.Type() == fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	default:
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o600)
	}
}
