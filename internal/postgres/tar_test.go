package postgres

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

// tarLog records what a TarReader finds.
type tarLog struct {
	events []string
	data   []byte
	left   int64
	fail   error
}

func (l *tarLog) Header(h *TarHeader) error {
	l.events = append(l.events, fmt.Sprintf("%s %q size %d mode %o link %q unsafe %v", string(h.Type), h.Name, h.Size, h.Mode, h.Link, h.Unsafe))
	l.left = h.Size
	return l.fail
}
func (l *tarLog) Data(p []byte) error {
	if len(p) == 0 || int64(len(p)) > l.left {
		return fmt.Errorf("%d bytes of data, %d expected", len(p), l.left)
	}
	l.left -= int64(len(p))
	l.data = append(l.data, p...)
	return nil
}
func (l *tarLog) End() error {
	if l.left != 0 {
		return fmt.Errorf("end with %d bytes missing", l.left)
	}
	l.events = append(l.events, fmt.Sprintf("end %q", l.data))
	l.data = nil
	return nil
}

// feed parses an archive in pieces of step bytes.
func feed(archive []byte, step int) (*tarLog, error) {
	l := &tarLog{}
	t := NewTarReader(l)
	for len(archive) > 0 {
		n := len(archive)
		if step > 0 {
			n = min(step, n)
		}
		if err := t.Feed(archive[:n]); err != nil {
			return l, err
		}
		archive = archive[n:]
	}
	return l, t.Close()
}

// pgHeader writes a header as tarCreateHeader in src/port/tar.c does.
func pgHeader(name, link string, typ byte, size int64) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000600 ")
	copy(h[108:], "0000070 ")
	copy(h[116:], "0000106 ")
	if size < 1<<33 {
		copy(h[124:], fmt.Sprintf("%011o ", size))
	} else {
		h[124] = 0x80
		for i := range 8 {
			h[135-i] = byte(size >> (8 * i))
		}
	}
	copy(h[136:], "14720351010 ")
	h[156] = typ
	copy(h[157:], link)
	copy(h[257:], "ustar\x0000")
	copy(h[265:], "postgres")
	copy(h[297:], "postgres")
	setSum(h)
	return h
}

func setSum(h []byte) {
	sum := 0
	copy(h[148:156], "        ")
	for _, c := range h[:512] {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o ", sum))
}

func padded(s string) []byte { return append([]byte(s), make([]byte, -len(s)&511)...) }

func TestTarReader(t *testing.T) {
	a := bytes.Join([][]byte{
		pgHeader("backup_label", "", '0', 5), padded("label"),
		pgHeader("base/", "", '5', 0),
		pgHeader("./pg_wal/archive_status/", "", '5', 0),
		pgHeader("pg_tblspc/16384/", "/abs/ts1", '2', 0),
		pgHeader("empty", "", '0', 0),
		pgHeader("/nvme1n1/shared//pg_wal/archive_status/x.done", "", '0', 0),
		pgHeader("file-dio:///abs/x.done", "", '0', 1), padded("x"),
		pgHeader("a/../b", "", '0', 0),
		pgHeader("a//b", "", '0', 0),
		pgHeader("./", "", '5', 0),
		pgHeader("block", "", 0, 512), bytes.Repeat([]byte("b"), 512),
		pgHeader("old/", "", 0, 0),
		pgHeader("fifo", "", '6', 7),
	}, nil)
	want := []string{
		`0 "backup_label" size 5 mode 600 link "" unsafe <nil>`, `end "label"`,
		`5 "base" size 0 mode 600 link "" unsafe <nil>`, `end ""`,
		`5 "pg_wal/archive_status" size 0 mode 600 link "" unsafe <nil>`, `end ""`,
		`2 "pg_tblspc/16384" size 0 mode 600 link "/abs/ts1" unsafe <nil>`, `end ""`,
		`0 "empty" size 0 mode 600 link "" unsafe <nil>`, `end ""`,
		`0 "/nvme1n1/shared//pg_wal/archive_status/x.done" size 0 mode 600 link "" unsafe ` + ErrTarAbsolute.Error(), `end ""`,
		`0 "file-dio:///abs/x.done" size 1 mode 600 link "" unsafe ` + ErrTarAbsolute.Error(), `end "x"`,
		`0 "a/../b" size 0 mode 600 link "" unsafe ` + ErrTarElement.Error(), `end ""`,
		`0 "a//b" size 0 mode 600 link "" unsafe ` + ErrTarElement.Error(), `end ""`,
		`5 "" size 0 mode 600 link "" unsafe <nil>`, `end ""`,
		`0 "block" size 512 mode 600 link "" unsafe <nil>`, `end "` + strings.Repeat("b", 512) + `"`,
		`5 "old" size 0 mode 600 link "" unsafe <nil>`, `end ""`,
		`6 "fifo" size 0 mode 600 link "" unsafe <nil>`, `end ""`,
	}
	for _, trailer := range []int{0, 512, 1024, 10240} { // servers before 15 send none
		archive := append(append([]byte{}, a...), make([]byte, trailer)...)
		for _, step := range []int{0, 1, 511, 512, 513, 700} {
			got, err := feed(archive, step)
			if err != nil {
				t.Fatalf("trailer %d, steps of %d: %v", trailer, step, err)
			}
			if !reflect.DeepEqual(got.events, want) {
				t.Fatalf("trailer %d, steps of %d:\ngot  %q\nwant %q", trailer, step, got.events, want)
			}
		}
	}
}

// TestTarReaderAgainstGo reads what archive/tar writes in its three formats: long names, long links, prefixes.
func TestTarReaderAgainstGo(t *testing.T) {
	long := strings.Repeat("d/", 60) + "file"
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatGNU, tar.FormatPAX} {
		name := long
		if format != tar.FormatUSTAR {
			name = long + strings.Repeat("n", 300)
		}
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for _, h := range []*tar.Header{
			{Name: name, Size: 3, Mode: 0o640, Typeflag: tar.TypeReg, ModTime: time.Unix(1700000000, 0), Format: format},
			{Name: "link", Linkname: strings.Repeat("l", 90), Typeflag: tar.TypeSymlink, Format: format},
			{Name: "after", Size: 0, Typeflag: tar.TypeReg, Format: format},
		} {
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, "abc"[:h.Size])
		}
		w.Close()
		got, err := feed(buf.Bytes(), 100)
		want := []string{
			fmt.Sprintf(`0 %q size 3 mode 640 link "" unsafe <nil>`, name), `end "abc"`,
			fmt.Sprintf(`2 "link" size 0 mode 0 link %q unsafe <nil>`, strings.Repeat("l", 90)), `end ""`,
			`0 "after" size 0 mode 0 link "" unsafe <nil>`, `end ""`,
		}
		if err != nil || !reflect.DeepEqual(got.events, want) {
			t.Errorf("%v: %v\ngot  %q\nwant %q", format, err, got.events, want)
		}
	}
}

// TestTarReaderHuge has a file of 9 GiB, whose size PostgreSQL writes in base 256; a pax size beats the one of the header.
func TestTarReaderHuge(t *testing.T) {
	const size = 9<<30 + 5
	for _, archive := range [][]byte{
		pgHeader("base/5/1", "", '0', size),
		bytes.Join([][]byte{pgHeader("pax", "", 'x', 19), padded("19 size=9663676421\n"), pgHeader("base/5/1", "", '0', 1)}, nil),
	} {
		count := &countData{}
		r := NewTarReader(count)
		if err := r.Feed(archive); err != nil {
			t.Fatal(err)
		}
		if count.size != size {
			t.Fatalf("size is %d", count.size)
		}
		zeroes := make([]byte, 1<<20)
		for left := int64(size + (-size & 511)); left > 0; {
			n := min(left, int64(len(zeroes)))
			if err := r.Feed(zeroes[:n]); err != nil {
				t.Fatal(err)
			}
			left -= n
		}
		if err := r.Feed(pgHeader("next", "", '5', 0)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil || count.data != size || count.members != 2 {
			t.Errorf("%d bytes in %d members, %v", count.data, count.members, err)
		}
	}
}

type countData struct {
	size, data int64
	members    int
}

func (c *countData) Header(h *TarHeader) error { c.size = h.Size; c.members++; return nil }
func (c *countData) Data(p []byte) error       { c.data += int64(len(p)); return nil }
func (c *countData) End() error                { return nil }

// TestTarReaderNoCopy makes sure that data are slices of what was fed, and that nothing is allocated for them.
func TestTarReaderNoCopy(t *testing.T) {
	archive := append(pgHeader("x", "", '0', 1000), bytes.Repeat([]byte("a"), 1024)...)
	l := &aliasCheck{archive: archive}
	if err := NewTarReader(l).Feed(archive); err != nil || !l.seen {
		t.Errorf("no data seen, %v", err)
	}
}

type aliasCheck struct {
	archive []byte
	seen    bool
}

func (c *aliasCheck) Header(*TarHeader) error { return nil }
func (c *aliasCheck) Data(p []byte) error {
	c.seen = true
	if &p[0] != &c.archive[512] {
		return errors.New("data were copied")
	}
	return nil
}
func (c *aliasCheck) End() error { return nil }

func TestTarReaderErrors(t *testing.T) {
	change := func(h []byte, at int, s string) []byte {
		copy(h[at:], s)
		setSum(h)
		return h
	}
	wrong := pgHeader("x", "", '0', 0)
	wrong[0] ^= 1
	for _, c := range []struct {
		name    string
		archive []byte
		want    string
	}{
		{"checksum", wrong, "wrong checksum"},
		{"octal", change(pgHeader("x", "", '0', 0), 124, "0000000008 "), "invalid size"},
		{"negative", change(pgHeader("x", "", '0', 0), 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "invalid size"},
		{"overflow", change(pgHeader("x", "", '0', 0), 124, "\x80\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), "invalid size"},
		{"cut in data", append(pgHeader("x", "", '0', 9), "123"...), `ends inside of "x", 6 bytes are missing`},
		{"cut in header", pgHeader("x", "", '0', 9)[:100], "ends inside of a header"},
		{"after trailer", append(make([]byte, 512), "x"...), "data after its end"},
		{"long extension", pgHeader("x", "", 'x', 1<<30), "extension header of"},
		{"extension at the end", append(pgHeader("x", "", 'L', 3), padded("abc")...), "ends inside of a header"},
		{"extension before zeroes", append(append(pgHeader("x", "", 'L', 3), padded("abc")...), make([]byte, 1024)...), "after an extension header"},
		{"pax length", append(pgHeader("x", "", 'x', 9), padded("99 size=1\n")...), "length of a pax record"},
		{"pax no space", append(pgHeader("x", "", 'x', 9), padded("xxxxxxxxx")...), "invalid pax record"},
		{"pax size", append(pgHeader("x", "", 'x', 11), padded("11 size=-1\n")...), "invalid pax size"},
		{"sparse", pgHeader("x", "", 'S', 9), "sparse"},
	} {
		for _, step := range []int{0, 1} {
			_, err := feed(c.archive, step)
			if !errors.Is(err, ErrTarFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error is %v, want %q", c.name, err, c.want)
			}
		}
	}
	l := &tarLog{fail: errors.New("disk full")}
	r := NewTarReader(l)
	if err := r.Feed(pgHeader("x", "", '0', 0)); err != l.fail {
		t.Errorf("error of the handler: %v", err)
	}
	if err := r.Feed([]byte{1}); err != l.fail {
		t.Errorf("error is not kept: %v", err)
	}
	if err := r.Close(); err != l.fail {
		t.Errorf("error is not kept by Close: %v", err)
	}
}
