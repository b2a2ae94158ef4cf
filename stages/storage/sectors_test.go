package storage

import (
	"bytes"
	"os"
	"testing"

	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/stages/target"
)

// aligned is the local file system with the sectors of PFS.
type aligned struct{ pfs.FS }

func (a aligned) Info() pfs.Info {
	i := a.FS.Info()
	i.Align = 4096
	return i
}

// What shares a sector with another record is on the disk before another process may write such a thing; all else needs no lease.
func TestPartsOfSectorsAreWrittenAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(dir+"/shared/pg_wal", 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := target.NewLayout(target.Config{Dir: dir, SharedDir: dir + "/shared", SharedFS: aligned{pfs.Local()}}, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	const name, size = "000000010000000000000001", 16 << 20
	alone := 0
	p := newPlain(l, SyncFsync, func() (func(), error) {
		alone++
		return func() {
			if b, err := os.ReadFile(dir + "/shared/pg_wal/" + name); err != nil || len(b) == 0 {
				t.Errorf("let go before the bytes were written: %d bytes, %v", len(b), err)
			}
		}, nil
	}, nil)
	defer p.Close()
	b := newBatch()
	for _, c := range []struct {
		off, n int64
		want   int
	}{{0, 5000, 1}, {5000, 8192 - 5000, 2}, {8192, 8192, 2}, {size - 8192, 8192, 2}, {size - 4096, 100, 3}} {
		r := messages.Record{Kind: messages.KindData, Tree: messages.TreeWAL, Path: name, Offset: c.off, Size: size}
		msg := messages.NewCompressor(messages.CodecNone, 0).AppendData(nil, &r, bytes.Repeat([]byte{'x'}, int(c.n)))
		var got messages.Record
		if err := messages.NewReader(msg).Next(&got); err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(b, &got); err != nil {
			t.Fatal(err)
		}
		if alone != c.want {
			t.Errorf("%d bytes at %d: %d leases, want %d", c.n, c.off, alone, c.want)
		}
	}
}
