package pfs

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"syscall"
)

// schemes are the prefixes by which PolarDB names its file systems: file-dio and file are local ones (with and without O_DIRECT), pfsd is
// PFS (polar_vfs of PolarDB).
var schemes = []string{"file-dio://", "file://", "pfsd://"}

// StripScheme takes PolarDB's prefix off a path, as polar_datadir and pg_relation_filepath show it. scheme is "file-dio", "file", "pfsd", or
// empty when there was none.
func StripScheme(name string) (rest, scheme string) {
	for _, s := range schemes {
		if r, ok := strings.CutPrefix(name, s); ok {
			return r, strings.TrimSuffix(s, "://")
		}
	}
	return name, ""
}

// IsRelative reports whether a polar_datadir is relative: the server takes it from its data directory, where it runs ("file-dio://./polar_shared_data").
func IsRelative(name string) bool {
	rest, _ := StripScheme(name)
	return rest != "" && !strings.HasPrefix(rest, "/")
}

// JoinRelative makes a relative polar_datadir absolute, below a server's data directory; its prefix stays.
func JoinRelative(dir, name string) string {
	rest, _ := StripScheme(name)
	return strings.TrimSuffix(name, rest) + path.Join(dir, rest)
}

// SplitDisk takes a path on PFS apart: "/nvme1n1/shared_data/base" is disk "nvme1n1" and "shared_data/base". The path below the disk is
// cleaned, empty for the disk's root, and never climbs out of it.
func SplitDisk(name string) (disk, rel string, err error) {
	name, scheme := StripScheme(name)
	if !strings.HasPrefix(name, "/") || scheme == "file" || scheme == "file-dio" {
		return "", "", fmt.Errorf("%q is no path on PFS: it must start with /DISK/", name)
	}
	disk, rel, _ = strings.Cut(strings.TrimLeft(name, "/"), "/")
	if disk == "" || disk == "." || disk == ".." {
		return "", "", fmt.Errorf("%q is no path on PFS: it must start with /DISK/", name)
	}
	depth := 0
	for _, e := range strings.Split(rel, "/") {
		switch e {
		case "", ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return "", "", fmt.Errorf("%q leaves disk %q", name, disk)
		}
	}
	return disk, strings.TrimPrefix(path.Clean("/"+rel), "/"), nil
}

var errPrivate = errors.New("names that begin with .pfs- belong to PFS itself")

// resolve checks a path before the library sees it, and gives it in the form that PFS wants: the root is "/disk/".
func (d *disk) resolve(name string) (string, error) {
	if strings.IndexByte(name, 0) >= 0 {
		return "", syscall.EINVAL
	}
	disk, rel, err := SplitDisk(name)
	if err != nil {
		return "", err
	}
	if disk != d.opts.Disk {
		return "", fmt.Errorf("the path is not on the mounted PFS disk, it must start with /%s/: %w", d.opts.Disk, syscall.EXDEV)
	}
	if strings.HasPrefix(rel, ".pfs-") {
		return "", fmt.Errorf("%w: %w", errPrivate, syscall.EPERM)
	}
	return "/" + disk + "/" + rel, nil
}
