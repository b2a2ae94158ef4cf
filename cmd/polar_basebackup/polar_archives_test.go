package main_test

import (
	"os"
	"os/exec"
	"testing"

	"polarcast/testenv"
)

func unpackInto(t testing.TB, archive, into string) {
	t.Helper()
	if err := os.MkdirAll(into, 0o700); err != nil {
		t.Fatal(err)
	}
	if b, err := exec.Command("tar", "-xf", archive, "-C", into).CombinedOutput(); err != nil {
		t.Fatalf("tar -xf %s: %v\n%s", archive, err, b)
	}
}

func polarArchives(p polar) {
	tar, out := newDir(p), testenv.Dir(p)
	p.must("-D", tar, "-Ft", "-X", "stream")
	dir, shared := out+"/local", out+"/local/polar_shared_data"
	unpackInto(p, tar+"/base.tar", dir)
	// As PolarDB's own tests do: the main archive brings the directory that the other is extracted into.
	if b, err := exec.Command("tar", "-xf", tar+"/data.tar", "-C", shared).CombinedOutput(); err != nil {
		p.Fatalf("data.tar: %v\n%s", err, b)
	}
	modes(p, dir, 0o600, 0o700)
	unpackInto(p, tar+"/pg_wal.tar", shared+"/pg_wal")
	if p.d.Major >= 13 {
		if err := os.Rename(tar+"/backup_manifest", dir+"/backup_manifest"); err != nil {
			p.Fatal(err)
		}
	}
	testenv.Own(p, out)
	p.verify(dir, shared)
	p.same(dir, shared)
}

func polarOneArchive(p polar) {
	out := testenv.Dir(p)
	c := p.start("-D", "-", "-Ft", "-X", "fetch")
	if code := c.Wait(generous); code != 0 {
		p.Fatalf("exit status %d: %s", code, c.Stderr())
	}
	if err := os.WriteFile(out+"/all.tar", []byte(c.Stdout()), 0o600); err != nil {
		p.Fatal(err)
	}
	unpackInto(p, out+"/all.tar", out+"/local")
	testenv.Own(p, out)
	p.verify(out+"/local", out+"/local/polar_shared_data")
	p.same(out+"/local", out+"/local/polar_shared_data")
}
