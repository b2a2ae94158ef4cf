package feed

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"runtime"
	"sync"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
)

// slabSize is how many raw bytes travel in one message at most: two chunks, so that an incompressible message stays well below NATS's
// default limit of 1 MiB, and a compressible one is still worth a round trip.
const slabSize = 2 * messages.ChunkSize

// maxItems bounds the records of one message when files are tiny.
const maxItems = 1024

// Config says where a Feed publishes and how.
type Config struct {
	Client  *pipeline.Client
	Backup  string
	Session uint32
	// Subject is the chunk subject: pipeline.SubjectData or pipeline.SubjectWAL.
	Subject pipeline.Subject
	Codec   messages.Codec
	// Level is the codec's level; 0 is its default.
	Level int
	// Workers is the number of goroutines that hash and compress; 0 means one per processor, at most 4.
	Workers int
	// Prior knows what earlier sessions delivered; nil when there is none.
	Prior *Prior
	// Digest makes the hash of whole files that the server's manifest uses; nil when CRC32C is enough.
	Digest func() hash.Hash
	// OnSeal is called for every sealed file, in the order of reading. An error ends the feed.
	OnSeal func(Sealed) error
	// Throttle, when set, is asked before bytes are taken in.
	Throttle func(ctx context.Context, bytes int) error
	// Alive, when set, is asked before each message is published; an error ends the feed.
	Alive func() error
	// MaxInFlight bounds the bytes that JetStream has not confirmed; 0 means 8 MiB.
	MaxInFlight int64
	// Strict publishes all of a file's records in reading order across files, for targets that write sequentially.
	Strict bool
}

// Sealed describes one file that was read to its end.
type Sealed struct {
	Tree   messages.Tree
	Path   string
	Size   int64
	CRC    uint32 // 0 when Split
	Digest []byte // nil when Split
	Split  bool   // other feeds published ranges of it, so that no single one has seen all of its bytes
}

// Totals counts what went through a Feed. Bytes are raw unless said otherwise.
type Totals struct {
	Files, Chunks                            int64
	ReadBytes, PublishedBytes, UnchangedByte int64
	// KeptBytes were not read, because the targets have them from a session that this one goes on with.
	KeptBytes int64
	// SentBytes is what the chunk messages took, compressed and with headers.
	SentBytes int64
	// ConfirmedBytes is how many of ReadBytes, in reading order, JetStream holds.
	ConfirmedBytes int64
	// ChunkSeq and IndexSeq are the last confirmed positions in the chunk and the index stream.
	ChunkSeq, IndexSeq uint64
	// LastSealDigest is the exclusive or of the hashes of all seals.
	SealDigest [16]byte
	Sealed     int64
	SealedSize int64
}

// Feed publishes files. Its methods must be called from one goroutine, except Totals.
type Feed struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelCauseFunc

	chunks *pipeline.Publisher
	index  *pipeline.Publisher

	cur  *job
	file *openFile

	slabs   chan *job // free jobs: the bound of raw memory
	work    chan *job
	ordered chan *job
	ledger  *ledger
	wg      sync.WaitGroup
	jobs    sync.WaitGroup // dispatched, not yet published
	seqDone chan struct{}
	endMu   sync.Mutex
	ended   bool // work and ordered are closed

	mu     sync.Mutex
	totals Totals
}

// New starts a feed; Close or Abort must be called.
func New(ctx context.Context, cfg Config) (*Feed, error) {
	if cfg.Workers <= 0 {
		cfg.Workers = min(runtime.GOMAXPROCS(0), 4)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	f := &Feed{cfg: cfg, ctx: ctx, cancel: cancel}
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = 8 << 20
	}
	opts := pipeline.PublisherOptions{MaxBytesInFlight: cfg.MaxInFlight}
	f.chunks = cfg.Client.ChunkPublisher(cfg.Backup, opts)
	f.index = cfg.Client.IndexPublisher(cfg.Backup)
	f.ledger = newLedger(f)
	depth := cfg.Workers + 3
	f.slabs = make(chan *job, depth)
	for range depth {
		f.slabs <- &job{}
	}
	f.work = make(chan *job, depth)
	f.ordered = make(chan *job, depth)
	f.seqDone = make(chan struct{})
	for range cfg.Workers {
		f.wg.Add(1)
		go f.worker()
	}
	go f.sequence()
	return f, nil
}

// openFile is the file that is being read.
type openFile struct {
	rec   messages.Record // prototype of its records
	pos   int64           // next byte
	end   int64           // size, or -1 while unknown
	chunk int             // index of the open item in the current job, -1 if none
	prior *priorFile
	split bool // its bytes come in ranges, from several feeds
}

// StartFile begins a regular file of size bytes. Mode, owner and modification time are taken from meta.
func (f *Feed) StartFile(meta messages.Record, size int64) error {
	if f.file != nil {
		return fmt.Errorf("feed: file %q was not ended before %q", f.file.rec.Path, meta.Path)
	}
	if err := messages.ValidPath(meta.Path); err != nil {
		return err
	}
	meta.Kind, meta.Session, meta.Size = messages.KindData, f.cfg.Session, size
	of := &openFile{rec: meta, end: size, chunk: -1}
	if f.cfg.Prior != nil {
		p, err := f.cfg.Prior.file(meta.Tree, meta.Path)
		if err != nil {
			return err
		}
		of.prior = p
	}
	f.file = of
	return f.add(item{kind: itemStart, file: of})
}

// Write adds the next bytes of the file. p is copied.
func (f *Feed) Write(p []byte) error {
	if f.cfg.Throttle != nil {
		if err := f.cfg.Throttle(f.ctx, len(p)); err != nil {
			return f.cause(err)
		}
	}
	of := f.file
	if of == nil {
		return errors.New("feed: bytes without a file")
	}
	for len(p) > 0 {
		if of.chunk < 0 {
			if err := f.openChunk(); err != nil {
				return err
			}
		}
		it := &f.cur.items[of.chunk]
		n := min(it.want-(it.to-it.from), len(p))
		f.cur.slab = append(f.cur.slab, p[:n]...)
		it.to += n
		of.pos += int64(n)
		p = p[n:]
		if it.to-it.from == it.want {
			of.chunk = -1
		}
	}
	return nil
}

// openChunk reserves room for the chunk that starts at the file's position.
func (f *Feed) openChunk() error {
	of := f.file
	want := messages.ChunkSize - int(of.pos%messages.ChunkSize)
	if of.end >= 0 {
		if of.pos >= of.end {
			return fmt.Errorf("feed: file %q has more bytes than its announced size %d", of.rec.Path, of.end)
		}
		want = int(min(int64(want), of.end-of.pos))
	}
	if f.cur != nil && (slabSize-len(f.cur.slab) < want || len(f.cur.items) >= maxItems) {
		if err := f.dispatch(); err != nil {
			return err
		}
	}
	if err := f.need(); err != nil {
		return err
	}
	at := len(f.cur.slab)
	f.cur.items = append(f.cur.items, item{kind: itemChunk, file: of, offset: of.pos, from: at, to: at, want: want})
	of.chunk = len(f.cur.items) - 1
	return nil
}

// EndFile ends the file and seals it. With a known size the bytes written must be exactly as many.
func (f *Feed) EndFile() error {
	of := f.file
	if of == nil {
		return errors.New("feed: no file to end")
	}
	if of.end >= 0 && of.pos != of.end {
		return fmt.Errorf("feed: file %q ended after %d of %d bytes", of.rec.Path, of.pos, of.end)
	}
	f.file = nil
	return f.add(item{kind: itemSeal, file: of, offset: of.pos, size: of.pos})
}

// EndPartial ends a file whose final size is larger than the bytes that exist: the rest reads as zeros (a WAL segment's tail).
func (f *Feed) EndPartial(size int64) error {
	of := f.file
	if of == nil {
		return errors.New("feed: no file to end")
	}
	f.file = nil
	return f.add(item{kind: itemSeal, file: of, offset: of.pos, size: max(size, of.pos)})
}

// Skip moves the file's position without bytes, to resume in the middle of it. It must be called before the first Write.
func (f *Feed) Skip(to int64) { f.file.pos = to }

// Put publishes a record that has no bytes of a file: a directory, a symbolic link, a removal.
func (f *Feed) Put(r messages.Record) error {
	if err := messages.ValidPath(r.Path); err != nil {
		return err
	}
	r.Session = f.cfg.Session
	return f.add(item{kind: itemRecord, rec: r})
}

// Flush hands over what was collected so far without waiting for it.
func (f *Feed) Flush() error {
	if f.cur == nil || len(f.cur.items) == 0 {
		return nil
	}
	if f.file != nil && f.file.chunk >= 0 {
		f.file.chunk = -1
	}
	return f.dispatch()
}

func (f *Feed) add(it item) error {
	if f.cur != nil && len(f.cur.items) >= maxItems {
		if err := f.dispatch(); err != nil {
			return err
		}
	}
	if err := f.need(); err != nil {
		return err
	}
	f.cur.items = append(f.cur.items, it)
	return nil
}

// need makes sure that there is a current job.
func (f *Feed) need() error {
	if f.cur != nil {
		return nil
	}
	if f.ctx.Err() != nil { // also when there is room
		return f.cause(f.ctx.Err())
	}
	select {
	case j := <-f.slabs:
		j.reset()
		f.cur = j
		return nil
	case <-f.ctx.Done():
		return f.cause(f.ctx.Err())
	}
}

// dispatch hands the current job to the workers and to the sequencer.
func (f *Feed) dispatch() error {
	j := f.cur
	f.cur = nil
	if f.file != nil {
		f.file.chunk = -1
	}
	j.ready = make(chan struct{})
	f.endMu.Lock()
	defer f.endMu.Unlock()
	if f.ended {
		return f.cause(errClosed)
	}
	// Both have room for every job that there is. Workers first: the sequencer waits for the job to be encoded.
	f.work <- j
	f.jobs.Add(1)
	f.ordered <- j
	return nil
}

// end tells workers and sequencer that no job comes any more.
func (f *Feed) end() {
	f.endMu.Lock()
	defer f.endMu.Unlock()
	if !f.ended {
		f.ended = true
		close(f.work)
		close(f.ordered)
	}
}

// Close publishes what is left and returns when JetStream holds all of it, index included.
func (f *Feed) Close() (Totals, error) {
	if f.file != nil {
		f.Abort(fmt.Errorf("feed: file %q was not ended", f.file.rec.Path))
	}
	err := f.Flush()
	f.end()
	f.wg.Wait()
	<-f.seqDone
	if err == nil {
		err = f.chunks.Flush(f.ctx)
	}
	if err == nil {
		err = f.ledger.close()
	}
	if err == nil {
		err = f.index.Flush(f.ctx)
	}
	if cause := context.Cause(f.ctx); cause != nil {
		err = cause
	}
	f.cancel(errClosed)
	return f.Totals(), err
}

// Sync waits until all that was written so far is confirmed, index included. The feed stays open.
func (f *Feed) Sync() error {
	if err := f.Flush(); err != nil {
		return err
	}
	if err := f.ledger.wait(); err != nil {
		return f.cause(err)
	}
	if err := f.index.Flush(f.ctx); err != nil {
		return f.cause(err)
	}
	return nil
}

var errClosed = errors.New("feed: closed")

// Settle waits until the checksums of all files that were ended so far are known to OnSeal. It does not wait for JetStream.
func (f *Feed) Settle() error {
	if err := f.Flush(); err != nil {
		return err
	}
	f.jobs.Wait()
	return context.Cause(f.ctx)
}

// Abort ends the feed without waiting; Close must not be called afterwards.
func (f *Feed) Abort(err error) {
	if err == nil {
		err = errClosed
	}
	f.cancel(err)
	f.end()
}

// salvageTime bounds how long Salvage waits for JetStream.
const salvageTime = 5 * time.Second

// Salvage ends the feed, as Abort does, because its source has failed: what was read before is delivered first, with its index, so that the next
// session finds it. A chunk that is not complete is left out. It waits for JetStream some seconds at most, and not at all when the context has ended.
func (f *Feed) Salvage(cause error) {
	late := time.AfterFunc(salvageTime, func() { f.cancel(cause) })
	defer late.Stop()
	if f.file != nil && f.file.chunk >= 0 {
		it := &f.cur.items[f.file.chunk] // the last one: every other item ends or begins a file
		f.cur.slab = f.cur.slab[:it.from]
		f.cur.items = f.cur.items[:f.file.chunk]
		f.file.chunk = -1
	}
	_ = f.Sync() // what it could not deliver is read again
	f.Abort(cause)
}

// Totals returns a snapshot of the counters. It may be called from any goroutine.
func (f *Feed) Totals() Totals {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.totals
}

// alive asks whether this feed may still publish.
func (f *Feed) alive() error {
	if f.cfg.Alive == nil {
		return nil
	}
	return f.cfg.Alive()
}

// Waiting reports whether publishing is held back by a full stream.
func (f *Feed) Waiting() bool { return f.chunks.Waiting() }

func (f *Feed) count(fn func(*Totals)) {
	f.mu.Lock()
	fn(&f.totals)
	f.mu.Unlock()
}

// cause prefers the reason for which the feed was ended over the bare context error.
func (f *Feed) cause(err error) error {
	if c := context.Cause(f.ctx); c != nil {
		return c
	}
	return err
}

// indexFlushInterval is how long a part may wait in memory before the index gets it.
const indexFlushInterval = 500 * time.Millisecond
