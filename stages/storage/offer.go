package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/target"
)

const (
	// offerRange is how much of a file becomes one part, in bytes.
	offerRange = 256 * messages.ChunkSize
	// offerMessage is the size at which an index message is sent, in bytes.
	offerMessage = 128 << 10
)

// offer publishes what an old copy holds: a part for each range of a file, with the hash of every chunk.
type offer struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	index  *pipeline.Publisher
	to     pipeline.Subject
	work   chan oldRange
	wg     sync.WaitGroup
	ended  sync.Once // work is closed

	mu    sync.Mutex
	out   []byte
	event messages.TargetSurveyed
}

// oldRange is a range of one file that has to be read.
type oldRange struct {
	path, full string
	from, to   int64
}

func newOffer(ctx context.Context, c *pipeline.Client, backup, name string) *offer {
	ctx, cancel := context.WithCancelCause(ctx)
	o := &offer{ctx: ctx, cancel: cancel, index: c.IndexPublisher(backup), to: pipeline.SubjectOffers(name), work: make(chan oldRange)}
	o.event.Target = name
	for range min(runtime.GOMAXPROCS(0), 4) {
		o.wg.Add(1)
		go o.reader()
	}
	return o
}

// walk hands the files of a directory to the readers.
func (o *offer) walk(dir string) error {
	return target.WalkOld(dir, func(f target.Found) error {
		if err := messages.ValidPath(f.Path); err != nil {
			return nil // removed before anything is written
		}
		r := messages.Record{Kind: messages.KindDirectory, Path: f.Path}
		switch {
		case f.Link != "":
			r.Kind, r.Payload = messages.KindSymlink, []byte(f.Link)
		case f.Own() && f.Info.Size() > 0:
			o.event.Files++
			o.event.Bytes += f.Info.Size()
			for at := int64(0); at < f.Info.Size(); at += offerRange {
				select {
				case o.work <- oldRange{f.Path, f.Full, at, min(at+offerRange, f.Info.Size())}:
				case <-o.ctx.Done():
					return context.Cause(o.ctx)
				}
			}
			return nil
		}
		// The path alone, so that it is removed when the source does not list it. What it is does not matter.
		return o.put(func(b []byte) []byte { return messages.AppendRecord(b, &r) })
	})
}

// reader reads ranges until there are no more.
func (o *offer) reader() {
	defer o.wg.Done()
	buf := make([]byte, messages.ChunkSize)
	var chunks []messages.PartChunk
	for r := range o.work {
		if o.ctx.Err() != nil {
			continue
		}
		var err error
		if chunks, err = hashRange(r, buf, chunks[:0]); err == nil {
			rec := messages.Record{Kind: messages.KindPart, Path: r.path, Offset: r.from}
			err = o.put(func(b []byte) []byte {
				if len(chunks) == 0 {
					rec.Kind, rec.Offset = messages.KindDirectory, 0
					return messages.AppendRecord(b, &rec)
				}
				return messages.AppendPart(b, &rec, chunks)
			})
		}
		if err != nil {
			o.cancel(err)
		}
	}
}

// hashRange returns the chunks of a range. A file that cannot be read is not offered: it will be written, or the write says what is wrong.
func hashRange(r oldRange, buf []byte, chunks []messages.PartChunk) ([]messages.PartChunk, error) {
	f, err := os.Open(r.full)
	if errors.Is(err, os.ErrPermission) {
		return chunks, nil
	}
	if err != nil {
		return chunks, fmt.Errorf("could not open file \"%s\": %w", r.full, unwrap(err))
	}
	defer f.Close()
	for at := r.from; at < r.to; at += messages.ChunkSize {
		b := buf[:min(messages.ChunkSize, r.to-at)]
		if _, err := f.ReadAt(b, at); errors.Is(err, io.EOF) {
			break // its size was another one a moment ago: the rest is sent
		} else if err != nil {
			return chunks, fmt.Errorf("could not read file \"%s\": %w", r.full, unwrap(err))
		}
		chunks = append(chunks, messages.PartChunk{Hash: messages.Hash128(b), CRC: messages.CRC32C(b), Len: uint32(len(b))})
	}
	return chunks, nil
}

// put adds a record to the message that is being built, and sends that when it is large enough.
func (o *offer) put(add func([]byte) []byte) error {
	o.mu.Lock()
	if o.out == nil {
		o.out = o.index.Buffer()
	}
	o.out = add(o.out)
	if len(o.out) < offerMessage {
		o.mu.Unlock()
		return nil
	}
	out := o.out
	o.out = nil
	o.mu.Unlock()
	return o.publish(out)
}

func (o *offer) publish(out []byte) error {
	return o.index.Publish(o.ctx, o.to, out, func(seq uint64, err error) {
		if err != nil {
			o.cancel(err)
			return
		}
		o.mu.Lock()
		if o.event.IndexFrom == 0 || seq < o.event.IndexFrom {
			o.event.IndexFrom = seq
		}
		o.mu.Unlock()
	})
}

// stop ends the readers.
func (o *offer) stop() {
	o.ended.Do(func() { close(o.work) })
	o.wg.Wait()
}

// finish returns when JetStream holds all offers.
func (o *offer) finish() error {
	o.stop()
	if err := context.Cause(o.ctx); err != nil {
		return err
	}
	// The last record also gives a target that holds nothing a position, so that offers of a survey before are not taken for its own.
	end := messages.Record{Kind: messages.KindEnd, Path: messages.EndPath}
	out := o.out
	if out == nil {
		out = o.index.Buffer()
	}
	o.out = nil
	if err := o.publish(messages.AppendRecord(out, &end)); err != nil {
		return err
	}
	if err := o.index.Flush(o.ctx); err != nil {
		return err
	}
	return context.Cause(o.ctx)
}
