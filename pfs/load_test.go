package pfs_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"polarcast/pfs"
)

// A process keeps the first libpfsd that it loads: what happens when there is none, or a wrong one, is seen in a process of its own.
func TestLibrary(t *testing.T) {
	if o := os.Getenv("POLARCAST_TEST_LIBRARY"); o != "" {
		_, err := pfs.Mount(context.Background(), pfs.MountOptions{Library: o, Disk: "disk1", HostID: 1})
		if err == nil {
			t.Fatal("mounted")
		}
		t.Log("result:", err)
		return
	}
	d := newDouble(t, "disk1")
	run := func(library string, env ...string) string {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run=^TestLibrary$", "-test.v")
		cmd.Env = append(append(os.Environ(), "POLARCAST_TEST_LIBRARY="+library, "LD_LIBRARY_PATH="), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	for _, c := range []struct {
		library, env string
		want         []string
	}{
		{"/no/such/libpfsd.so", "X=", []string{"/no/such/libpfsd.so", "--pfsd-lib"}},
		{"libc.so.6", "X=", []string{"libc.so.6", "no function pfsd_"}},
		{d.Library, "PFSD_DOUBLE_FAULTS=meta_version=3", []string{"meta version 3", "version 2"}},
	} {
		out := run(c.library, c.env)
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: %q is not in\n%s", c.library, w, out)
			}
		}
	}
}
