package storage

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// suffix is what pg_basebackup appends to the name of a compressed archive.
func suffix(method string) string {
	switch method {
	case "gzip":
		return ".gz"
	case "lz4":
		return ".lz4"
	case "zstd":
		return ".zst"
	}
	return ""
}

// lz4Levels are the library's names of the levels 1 to 9; beyond 9 the library has none, and 9 is used.
var lz4Levels = [...]lz4.CompressionLevel{lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}

// compressor wraps a file as the options say.
func compressor(w io.Writer, o TarOptions) (io.Writer, error) {
	switch o.Compression {
	case "", "none":
		return w, nil
	case "gzip":
		level := o.Level
		if level == 0 {
			level = gzip.DefaultCompression
		}
		return gzip.NewWriterLevel(w, level)
	case "lz4":
		z := lz4.NewWriter(w)
		return z, z.Apply(lz4.CompressionLevelOption(lz4Levels[min(max(o.Level, 0), 9)]))
	case "zstd":
		level := o.Level
		if level == 0 {
			level = 3 // ZSTD_CLEVEL_DEFAULT
		}
		opts := []zstd.EOption{zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(max(o.Workers, 1))}
		if o.Long {
			opts = append(opts, zstd.WithWindowSize(128<<20))
		}
		return zstd.NewWriter(w, opts...)
	}
	return nil, fmt.Errorf("unrecognized compression algorithm: \"%s\"", o.Compression)
}
