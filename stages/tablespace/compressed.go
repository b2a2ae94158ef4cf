package tablespace

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"polarcast/internal/postgres"
)

// archiveBytes makes one archive of the server an io.Reader.
type archiveBytes struct {
	r    *reader
	bb   *postgres.BaseBackup
	rest []byte
	err  error
}

func (a *archiveBytes) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		d, err := a.r.next(a.bb)
		switch {
		case err != nil:
			a.err = err
		case d == nil:
			a.err = io.EOF
		default:
			a.rest = d
		}
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// compressed reads an archive that the server has compressed.
func (r *reader) compressed(bb *postgres.BaseBackup, name string, tr *postgres.TarReader) error {
	src := &archiveBytes{r: r, bb: bb}
	var dec io.Reader
	switch {
	case strings.HasSuffix(name, ".tar.gz"):
		z, err := gzip.NewReader(src)
		if err != nil {
			return fmt.Errorf("archive %q: %w", name, err)
		}
		dec = z
	case strings.HasSuffix(name, ".tar.lz4"):
		dec = lz4.NewReader(src)
	case strings.HasSuffix(name, ".tar.zst"):
		z, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<28))
		if err != nil {
			return fmt.Errorf("archive %q: %w", name, err)
		}
		defer z.Close()
		dec = z
	default:
		return fmt.Errorf("the server sent an archive named %q, whose format is not known", name)
	}
	buf := make([]byte, 128<<10)
	for {
		n, err := dec.Read(buf)
		if n > 0 {
			if err := tr.Feed(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("archive %q: %w", name, err)
		}
	}
	// What follows the end of the compressed data belongs to this archive still.
	if _, err := io.Copy(io.Discard, src); err != nil {
		return err
	}
	return tr.Close()
}
