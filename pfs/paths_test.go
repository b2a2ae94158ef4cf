package pfs_test

import (
	"testing"

	"polarcast/pfs"
)

func TestStripScheme(t *testing.T) {
	for in, want := range map[string][2]string{
		"file-dio:///a/b": {"/a/b", "file-dio"}, "file:///a": {"/a", "file"}, "pfsd:///nvme1n1/shared_data": {"/nvme1n1/shared_data", "pfsd"},
		"/a": {"/a", ""}, "file:/a": {"file:/a", ""}, "": {"", ""},
	} {
		if rest, scheme := pfs.StripScheme(in); rest != want[0] || scheme != want[1] {
			t.Errorf("%q: %q, %q", in, rest, scheme)
		}
	}
}

func TestRelative(t *testing.T) {
	for in, want := range map[string]string{
		"file-dio://./polar_shared_data/": "file-dio:///data/polar_shared_data", "../shared": "/shared",
		"file-dio:///a/b": "", "/nvme1n1/shared_data/": "", "": "",
	} {
		if have := pfs.IsRelative(in); have != (want != "") {
			t.Errorf("%q is relative: %v", in, have)
		}
		if have := pfs.JoinRelative("/data", in); want != "" && have != want {
			t.Errorf("%q becomes %q, want %q", in, have, want)
		}
	}
}

func TestSplitDisk(t *testing.T) {
	for in, want := range map[string][2]string{
		"/nvme1n1/shared_data//pg_wal/archive_status/0.done": {"nvme1n1", "shared_data/pg_wal/archive_status/0.done"},
		"pfsd:///mapper_x/a/":                                {"mapper_x", "a"}, "/d": {"d", ""}, "/d/": {"d", ""}, "//d/./a/../b": {"d", "b"},
	} {
		disk, rel, err := pfs.SplitDisk(in)
		if disk != want[0] || rel != want[1] || err != nil {
			t.Errorf("%q: %q, %q, %v", in, disk, rel, err)
		}
	}
	for _, in := range []string{"", "/", "d/a", "/../a", "/d/../a", "/d/a/../../e", "file-dio:///d/a", "//", "/./a"} {
		if disk, rel, err := pfs.SplitDisk(in); err == nil {
			t.Errorf("%q: %q, %q", in, disk, rel)
		}
	}
}
