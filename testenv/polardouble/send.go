package polardouble

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// pieceSize is how much of an archive is in one message: what a server reads at once.
const pieceSize = 32 << 10

// errCut ends a backup whose connection was reset on purpose.
var errCut = errors.New("the connection was cut as asked")

// sender sends archives to the client.
type sender struct {
	s        *session
	faults   Faults
	sent     int64 // bytes of archive data
	progress bool
}

// data sends one CopyData and cuts the connection when it is time.
func (o *sender) data(p []byte) error {
	typed := p
	if o.s.d.Major >= 15 {
		typed = append([]byte{'d'}, p...)
	}
	if err := o.s.client.send(&pgproto3.CopyData{Data: typed}); err != nil {
		return err
	}
	o.sent += int64(len(p))
	if o.faults.CutAfter > 0 && o.sent >= o.faults.CutAfter {
		time.Sleep(o.faults.Hold)
		o.s.client.reset()
		return errCut
	}
	return nil
}

// Write lets compressors write into the stream.
func (o *sender) Write(p []byte) (int, error) {
	for done := 0; done < len(p); done += pieceSize {
		if err := o.data(p[done:min(done+pieceSize, len(p))]); err != nil {
			return done, err
		}
	}
	return len(p), nil
}

// begin opens an archive: on 15 a message that names it, on 11 a COPY of its own.
func (o *sender) begin(name, location string) error {
	if o.s.d.Major >= 15 {
		return o.s.client.send(&pgproto3.CopyData{Data: []byte("n" + name + "\x00" + location + "\x00")})
	}
	return o.s.client.send(&pgproto3.CopyOutResponse{})
}

func (o *sender) end() error {
	if o.s.d.Major < 15 {
		return o.s.client.send(&pgproto3.CopyDone{})
	}
	if !o.progress {
		return nil
	}
	return o.s.client.send(&pgproto3.CopyData{Data: binary.BigEndian.AppendUint64([]byte{'p'}, uint64(o.sent))})
}

// archive sends a file as one archive. 15 ends archives with two blocks of zeros, 11 does not.
func (o *sender) archive(name, location, compression string, f *os.File, size int64) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := o.begin(name, location); err != nil {
		return err
	}
	var in io.Reader = io.LimitReader(f, size)
	if o.s.d.Major >= 15 {
		in = io.MultiReader(in, io.LimitReader(zeros{}, 2*block))
	}
	w, err := compressor(o, compression)
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(w, struct{ io.Reader }{in}, make([]byte, pieceSize)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return o.end()
}

// suffix is what the server appends to the name of a compressed archive.
func suffix(compression string) string {
	switch compression {
	case "gzip":
		return ".gz"
	case "lz4":
		return ".lz4"
	case "zstd":
		return ".zst"
	}
	return ""
}

func compressor(w io.Writer, method string) (io.WriteCloser, error) {
	switch method {
	case "gzip":
		return gzip.NewWriter(w), nil
	case "lz4":
		return lz4.NewWriter(w), nil
	case "zstd":
		return zstd.NewWriter(w)
	}
	return plain{w}, nil
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }
