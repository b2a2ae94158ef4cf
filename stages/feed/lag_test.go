package feed_test

import (
	"errors"
	"io"
	"testing"

	"polarcast/messages"
	"polarcast/pipeline"
)

// TestTheIndexFollowsClosely publishes much faster than the index is flushed by time: it gets no more than 4 MiB at once all the same, because what
// it does not have yet is sent and written again when this process is killed.
func TestTheIndexFollowsClosely(t *testing.T) {
	const most, size = 4 << 20, 32 << 20
	c, backup := startClient(t)
	f := openFeed(t, c, backup)
	if err := f.StartFile(messages.Record{Path: "base/1/4"}, size); err != nil {
		t.Fatal(err)
	}
	for range size >> 20 {
		if err := f.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.EndFile(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var all int64
	err := c.Index(t.Context(), backup, 0, false, nil, func(seq uint64, _ pipeline.Subject, data []byte) error {
		rd := messages.NewReader(data)
		var r messages.Record
		var n int64
		for {
			err := rd.Next(&r)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if r.Kind != messages.KindPart {
				continue
			}
			chunks, err := r.PartChunks(nil)
			if err != nil {
				return err
			}
			for _, k := range chunks {
				n += int64(k.Len)
			}
		}
		if all += n; n > most {
			t.Errorf("message %d of the index speaks of %d bytes", seq, n)
		}
		return nil
	})
	if err != nil || all != size {
		t.Errorf("the index speaks of %d bytes, want %d; %v", all, size, err)
	}
}
