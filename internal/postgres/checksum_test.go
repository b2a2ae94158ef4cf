package postgres

import (
	"encoding/binary"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// plainChecksum is the algorithm as checksum_impl.h tells it, without care for speed.
func plainChecksum(page []byte, block uint32) uint16 {
	page = append([]byte(nil), page...)
	page[8], page[9] = 0, 0
	sums := checksumOffsets
	for i := 0; i < len(page)/128; i++ {
		for j := range sums {
			sums[j] = checksumMix(sums[j], binary.LittleEndian.Uint32(page[i*128+j*4:]))
		}
	}
	var result uint32
	for j := range sums {
		result ^= checksumMix(checksumMix(sums[j], 0), 0)
	}
	return uint16((result^block)%65535 + 1)
}

func TestPageChecksumEqualsThePlainForm(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1024, 8192, 32768} {
		page := make([]byte, size)
		for range 50 {
			for i := range page {
				page[i] = byte(rng.Uint32())
			}
			block := rng.Uint32()
			if got, want := PageChecksum(page, block), plainChecksum(page, block); got != want {
				t.Fatalf("size %d: %04X, want %04X", size, got, want)
			}
		}
	}
}

// Every page that a real server wrote passes; the same pages with one bit changed, or at another place, do not.
func TestPageChecksumsOfARealServer(t *testing.T) {
	c := initCluster(t)
	c.start()
	c.sql("CREATE TABLE big AS SELECT g, repeat(md5(g::text), 20) FROM generate_series(1, 20000) g", "CREATE INDEX ON big (g)", "VACUUM big", "CREATE UNLOGGED TABLE u (i int)")
	c.stop("fast")
	c.run(filepath.Join(postgresBin(t), "pg_checksums"), "-D", c.dir)
	files, pages, missed := 0, 0, 0
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(c.dir, path)
		if _, ok := HasPageChecksums(rel); !ok {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil || len(data) == 0 {
			return err
		}
		files++
		pages += len(data) / PageSize
		if bad := VerifyPages(nil, data, PageSize, 0, math.MaxUint64); len(bad) > 0 {
			t.Errorf("%s: %v", rel, bad)
		}
		if used := countUsed(data); len(VerifyPages(nil, data, PageSize, 1, math.MaxUint64)) < used {
			t.Errorf("%s: pages pass at another block number", rel)
		}
		bit := rand.IntN(len(data) * 8)
		if PageIsNew(data[bit/8/PageSize*PageSize:]) {
			return nil
		}
		data[bit/8] ^= 1 << (bit % 8)
		if PageIsNew(data[bit/8/PageSize*PageSize:]) {
			return nil
		}
		if bad := VerifyPages(nil, data, PageSize, 0, math.MaxUint64); len(bad) != 1 || int(bad[0].Block) != bit/8/PageSize {
			missed++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if missed > 3 { // one in 65536 collides
		t.Errorf("%d of %d changed bits went unnoticed", missed, files)
	}
	if files < 200 || pages < 2500 {
		t.Errorf("only %d files, %d pages", files, pages)
	}
}

func countUsed(data []byte) (n int) {
	for ; len(data) >= PageSize; data = data[PageSize:] {
		if !PageIsNew(data[:PageSize]) {
			n++
		}
	}
	return n
}

func TestVerifyPagesRules(t *testing.T) {
	pages := make([]byte, 4*PageSize+100)
	const first, start = 131072 * 3, 0x5000000
	for i := range 3 { // page 3 stays new
		page := pages[i*PageSize : (i+1)*PageSize]
		for j := range page {
			page[j] = byte(j * (i + 3))
		}
		binary.LittleEndian.PutUint32(page, 0)
		binary.LittleEndian.PutUint32(page[4:], 0x4FFFFFF)
		binary.LittleEndian.PutUint16(page[14:], 8192)
		binary.LittleEndian.PutUint16(page[8:], PageChecksum(page, first+uint32(i)))
	}
	if bad := VerifyPages(nil, pages, PageSize, first, start); len(bad) != 0 {
		t.Fatal(bad)
	}
	pages[100]++                                             // block 0: broken
	pages[PageSize+100]++                                    // block 1: broken, but changed since the start
	binary.LittleEndian.PutUint32(pages[PageSize+4:], start) // exactly at the start
	binary.LittleEndian.PutUint16(pages[2*PageSize+14:], 0)  // block 2: new
	bad := VerifyPages(nil, pages, PageSize, first, start)
	if len(bad) != 1 || bad[0].Block != first {
		t.Fatal(bad)
	}
	// Positions that no server comes to during a backup: random bytes, erased flash.
	const far = start + 1<<48
	for lsn, want := range map[LSN]int{far: 1, far + 1: 2, 0xA5A5A5A5_5A5A5A5A: 2, math.MaxUint64: 2} {
		binary.LittleEndian.PutUint32(pages[PageSize:], uint32(lsn>>32))
		binary.LittleEndian.PutUint32(pages[PageSize+4:], uint32(lsn))
		if bad := VerifyPages(nil, pages, PageSize, first, start); len(bad) != want {
			t.Errorf("with a page at %s: %v, want %d", lsn, bad, want)
		}
		if bad := VerifyPages(nil, pages, PageSize, first, math.MaxUint64); len(bad) != 2 {
			t.Errorf("with a page at %s, all checked: %v", lsn, bad)
		}
		binary.LittleEndian.PutUint16(pages[PageSize+8:], PageChecksum(pages[PageSize:2*PageSize], first+1))
		if bad := VerifyPages(nil, pages, PageSize, first, start); len(bad) != 1 {
			t.Errorf("a whole page at %s: %v", lsn, bad)
		}
		pages[PageSize+8]++
	}
	if got := bad[0].String(); len(got) < 20 {
		t.Error(got)
	}
}

func BenchmarkVerifyPages(b *testing.B) {
	data := make([]byte, 256<<10)
	for i := range data {
		data[i] = byte(i*7 + 1)
	}
	for i := 0; i < len(data); i += PageSize {
		clear(data[i : i+8])
	}
	b.SetBytes(int64(len(data)))
	var bad []PageFailure
	for b.Loop() {
		bad = VerifyPages(bad[:0], data, PageSize, 0, math.MaxUint64)
	}
}

func FuzzVerifyPages(f *testing.F) {
	f.Add(make([]byte, 2048), 1024, uint32(0), uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, size int, block uint32, start uint64) {
		VerifyPages(nil, data, size, block, LSN(start))
	})
}
