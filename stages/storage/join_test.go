package storage

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"polarcast/pfs"
)

// spy counts the writes of a file.
type spy struct {
	pfs.File
	mu    sync.Mutex
	sizes []int
	fail  error
}

func (s *spy) WriteAt(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes = append(s.sizes, len(p))
	if s.fail != nil {
		return 0, s.fail
	}
	return s.File.WriteAt(p, off)
}

func (s *spy) writes() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.sizes...)
}

func newSpy(t *testing.T) *spy {
	t.Helper()
	f, err := pfs.Local().Open(filepath.Join(t.TempDir(), "f"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return &spy{File: f}
}

// Chunks that follow each other become writes of 4 MiB.
func TestJoinSequential(t *testing.T) {
	s := newSpy(t)
	j := joinWrites(s, pfsJoins)
	const chunk, n = 256 << 10, 40
	want := make([]byte, chunk*n+100)
	for i := range want {
		want[i] = byte(i * 7)
	}
	for off := 0; off < len(want); off += chunk {
		if _, err := j.WriteAt(want[off:min(off+chunk, len(want))], int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	st, err := j.Stat()
	if err != nil || st.Size() != int64(len(want)) {
		t.Fatalf("size %v, %v", st, err)
	}
	if w := s.writes(); len(w) != 3 {
		t.Errorf("writes of %v bytes, want two of 4 MiB and the rest", w)
	}
	got := make([]byte, len(want))
	if _, err := j.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("contents differ: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

// Whatever the order and however often bytes are written again, the last write wins.
func TestJoinAnyOrder(t *testing.T) {
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := newSpy(t)
		j := joinWrites(s, pfsJoins)
		want := make([]byte, 12<<20)
		for range 200 {
			off := r.IntN(len(want)/4096) * 4096
			n := min(1+r.IntN(1<<20), len(want)-off)
			p := bytes.Repeat([]byte{byte(r.Uint32())}, n)
			copy(want[off:], p)
			if _, err := j.WriteAt(p, int64(off)); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Truncate(int64(len(want))); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := s.File.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("seed %d: contents differ (%v)", seed, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Many files at once do not wait for each other's buffers.
func TestJoinManyFiles(t *testing.T) {
	var js []*joinedFile
	for range 40 {
		js = append(js, joinWrites(newSpy(t), pfsJoins))
	}
	for off := range int64(8) {
		for _, j := range js {
			if _, err := j.WriteAt(make([]byte, 256<<10), off*(256<<10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, j := range js {
		if st, err := j.Stat(); err != nil || st.Size() != 2<<20 {
			t.Fatalf("%v %v", st, err)
		}
		j.Close()
	}
}

// An error of a write that is made later is not lost.
func TestJoinError(t *testing.T) {
	s := newSpy(t)
	s.fail = errors.New("disk full")
	j := joinWrites(s, pfsJoins)
	if _, err := j.WriteAt(make([]byte, 100), 0); err != nil {
		t.Fatal(err)
	}
	if err := j.Sync(); !errors.Is(err, s.fail) {
		t.Errorf("Sync: %v", err)
	}
	if _, err := j.WriteAt(make([]byte, 100), 100); !errors.Is(err, s.fail) {
		t.Errorf("next write: %v", err)
	}
	if err := j.Close(); !errors.Is(err, s.fail) {
		t.Errorf("Close: %v", err)
	}
}
