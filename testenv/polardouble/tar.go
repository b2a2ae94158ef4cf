package polardouble

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

const block = 512

// header is a ustar header as PostgreSQL writes it: a name below 100 bytes, no prefix.
type header [block]byte

func (h *header) text(at, n int) string {
	b := h[at : at+n]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func (h *header) octal(at, n int) int64 {
	v, err := strconv.ParseInt(strings.Trim(h.text(at, n), " "), 8, 64)
	if err != nil {
		return 0
	}
	return v
}

func (h *header) put(at, n int, s string) {
	clear(h[at : at+n])
	copy(h[at:at+n], s)
}

func (h *header) name() string { return h.text(0, 100) }
func (h *header) size() int64  { return h.octal(124, 12) }
func (h *header) kind() byte   { return h[156] }

func (h *header) setName(name string) { h.put(0, 100, name) }
func (h *header) setSize(n int64)     { h.put(124, 12, fmt.Sprintf("%011o", n)) }
func (h *header) setMode(mode, id int64) {
	h.put(100, 8, fmt.Sprintf("%07o", mode))
	h.put(108, 8, fmt.Sprintf("%07o", id))
	h.put(116, 8, fmt.Sprintf("%07o", id))
}

// seal computes the checksum, after all changes.
func (h *header) seal() {
	copy(h[148:156], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	h.put(148, 8, fmt.Sprintf("%06o\x00 ", sum))
}

// newHeader is the header of a file, or with kind '5' of a directory, that the real server does not have.
func newHeader(name string, kind byte, size int64) *header {
	h := new(header)
	h.setName(name)
	mode := int64(0o600)
	if kind == '5' {
		mode = 0o700
	}
	h.setMode(mode, 1000)
	h.setSize(size)
	h.put(136, 12, fmt.Sprintf("%011o", time.Now().Unix()))
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	h.put(265, 32, "postgres")
	h.put(297, 32, "postgres")
	h.put(329, 8, "0000000")
	h.put(337, 8, "0000000")
	return h
}

// readTar calls fn for every member; body must not be kept. The zero blocks at the end may be missing.
func readTar(r io.Reader, fn func(h *header, body io.Reader) error) error {
	for {
		h := new(header)
		if _, err := io.ReadFull(r, h[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("archive of the real server: %w", err)
		}
		if *h == (header{}) {
			return nil
		}
		size := h.size()
		if h.kind() == '2' || h.kind() == '5' {
			size = 0
		}
		body := io.LimitReader(r, (size+block-1)/block*block)
		if err := fn(h, io.LimitReader(body, size)); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
	}
}

// writeMember writes a header and its body, padded.
func writeMember(w io.Writer, h *header, body io.Reader) error {
	h.seal()
	if _, err := w.Write(h[:]); err != nil {
		return err
	}
	if body == nil {
		return nil
	}
	n, err := io.Copy(w, body)
	if err != nil {
		return err
	}
	_, err = w.Write(make([]byte, (block-n%block)%block))
	return err
}
