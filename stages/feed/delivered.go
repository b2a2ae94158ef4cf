package feed

import (
	"context"
	"errors"
	"fmt"
	"io"

	"polarcast/messages"
	"polarcast/pipeline"
)

// Done is what the index knows of one file in one session.
type Done struct {
	Sealed bool
	// chunks by offset: their lengths
	chunks map[int64]uint32
}

// Covers reports whether the chunk of n bytes at offset was published.
func (d *Done) Covers(offset int64, n int) bool {
	return d != nil && int(d.chunks[offset]) == n && n > 0
}

// Any reports whether anything of the file was published.
func (d *Done) Any() bool { return d != nil && len(d.chunks) > 0 }

// LoadDone reads from the index which chunks of some files were published in a session: what a process that was killed has already read.
func LoadDone(ctx context.Context, c *pipeline.Client, backup string, session uint32, keys []uint64) (map[uint64]*Done, error) {
	out := make(map[uint64]*Done, len(keys))
	for _, k := range keys {
		out[k] = &Done{chunks: map[int64]uint32{}}
	}
	var chunks []messages.PartChunk
	err := c.Index(ctx, backup, 0, false, nil, func(_ uint64, _ pipeline.Subject, data []byte) error {
		rd := messages.NewReader(data)
		var r messages.Record
		for {
			if err := rd.Next(&r); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return fmt.Errorf("index of backup %q: %w", backup, err)
			}
			if r.Session != session {
				continue
			}
			d := out[messages.PathKey(r.Tree, r.Path)]
			if d == nil {
				continue
			}
			switch r.Kind {
			case messages.KindSeal:
				d.Sealed = true
			case messages.KindRemove:
				d.Sealed, d.chunks = false, map[int64]uint32{}
			case messages.KindPart:
				var err error
				if chunks, err = r.PartChunks(chunks[:0]); err != nil {
					return err
				}
				off := r.Offset
				for i := range chunks {
					d.chunks[off] = chunks[i].Len
					off += int64(chunks[i].Len)
				}
			}
		}
	})
	return out, err
}
