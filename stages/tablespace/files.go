package tablespace

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/feed"
	"polarcast/stages/source"
	"polarcast/stages/work"
)

// FilesConfig says how a tablespace stage of the files source reads.
type FilesConfig struct {
	stages.Env
	// Open opens the source for one session. It is closed by the stage.
	Open func(ctx context.Context, st pipeline.State) (source.Reader, error)
	// Jobs is how many items are read at once; 0 means 1.
	Jobs int
	// SpillDir receives temporary files; "" is the system's temporary directory.
	SpillDir string
	// Strict publishes in reading order, for targets that write sequentially. Only one such stage may run, with one job.
	Strict bool
	// Throttle, when set, limits the rate of reading.
	Throttle func(ctx context.Context, bytes int) error
	// OnDamaged, when set, is told of a page whose checksum is wrong on the source.
	OnDamaged func(work.PagesDamaged)
}

// Files reads work items of the files source. Any number of such stages may run, in any number of processes.
type Files struct {
	cfg    FilesConfig
	report reporter

	read    atomic.Int64 // bytes of this session, by this process
	retried atomic.Int64 // pages that were read again
	file    atomic.Value // string: the file at hand, for people
	fill    atomic.Pointer[func() pipeline.Progress]

	mu    sync.Mutex
	feeds map[*feed.Feed]struct{}
	ended feed.Totals // of feeds that are closed

	before feed.Totals // when the session began
}

// NewFiles returns a tablespace stage of the files source.
func NewFiles(cfg FilesConfig) *Files {
	cfg.Env = cfg.Env.WithDefaults()
	cfg.Jobs = max(cfg.Jobs, 1)
	s := &Files{cfg: cfg, report: reporter{env: cfg.Env}}
	s.file.Store("")
	return s
}

// errOver ends the workers of a session that is read completely, or lost.
var errOver = errors.New("the session is over")

// Run reads items until every target has all of them.
func (s *Files) Run(ctx context.Context) error {
	last := uint32(0)
	for {
		stop := s.report.idle(ctx, "something to read")
		st, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) {
			cur := st.Session()
			return stages.ReadingOver(st) || cur != nil && cur.ReadDone == nil && cur.Lost == nil && cur.Started.Session > last, st.Terminal()
		})
		stop()
		if err != nil {
			return err
		}
		if stages.ReadingOver(st) {
			return nil
		}
		last = st.Session().Started.Session
		if err := s.session(ctx, st, last); err != nil {
			return err
		}
	}
}

// session works on one session until it is over.
func (s *Files) session(ctx context.Context, st pipeline.State, n uint32) error {
	s.read.Store(0)
	s.before = s.Totals()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) { return over(st, n), st.Terminal() })
		if err == nil {
			err = errOver
		}
		cancel(err)
	}()
	err := s.work(ctx, st, n)
	for errors.Is(err, pipeline.ErrWorkLost) && ctx.Err() == nil {
		s.cfg.Logger.Warn("taking work anew", "reason", err)
		err = s.work(ctx, st, n)
	}
	if errors.Is(context.Cause(ctx), errOver) {
		return nil
	}
	if err != nil && ctx.Err() == nil {
		// The connection that this process reads with breaks together with the session when the server goes away: give the checkpoint stage
		// the time to see it, and blame the session then.
		if s.endsSoon(ctx, n) {
			return nil
		}
	}
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// over reports whether nothing more is to be read in a session.
func over(st pipeline.State, n uint32) bool {
	cur := st.Session()
	return cur.Started.Session > n || cur.Lost != nil || cur.ReadDone != nil
}

// patience is how long a reader that failed waits for the news that the session was lost.
const patience = 5 * time.Second

func (s *Files) endsSoon(ctx context.Context, n uint32) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := s.cfg.Log().Wait(ctx, func(st pipeline.State) (bool, error) { return over(st, n), st.Terminal() })
	return err == nil
}

// work runs the workers.
func (s *Files) work(ctx context.Context, st pipeline.State, n uint32) error {
	src, err := s.cfg.Open(ctx, st)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := source.OneServer(ctx, src, st.Session().Started.ServerStarted); err != nil {
		return err
	}
	pages, err := loadPageRules(ctx, src, st)
	if err != nil {
		return err
	}
	// A session that goes on where another one was lost has items only for files that are not complete: what was delivered of those is not read again.
	prior, err := feed.LoadPrior(ctx, s.cfg.Client, s.cfg.Backup, n, s.cfg.Missing(st), stages.Offers(st), s.cfg.SpillDir)
	if err != nil {
		return err
	}
	defer prior.Close()
	defer s.cfg.Client.ShareWork(ctx, s.cfg.Backup, s.cfg.Instance, stages.Dead)()
	queue, err := s.cfg.Client.WorkConsumer(ctx, s.cfg.Backup, pipeline.WorkOptions{})
	if err != nil {
		return err
	}
	defer queue.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := s.progress(ctx, st)
	defer stop()
	var wg sync.WaitGroup
	for range s.cfg.Jobs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := s.worker(ctx, &worker{s: s, st: st, session: n, src: src, pages: s.pageCheck(pages, n)}, prior, queue); err != nil {
				cancel(err)
			}
		}()
	}
	wg.Wait()
	return context.Cause(ctx)
}

// progress reports how far a session is until the returned function is called.
func (s *Files) progress(ctx context.Context, st pipeline.State) func() {
	var total int64
	spaces := 0
	for _, t := range st.Session().Started.Tablespaces {
		total += max(t.SizeKB, 0) * 1024
		spaces++
	}
	session, before := st.Session().Started.Session, s.before
	fill := func() pipeline.Progress {
		tot := s.Totals()
		return pipeline.Progress{Session: session, Read: s.read.Load(), Kept: tot.KeptBytes - before.KeptBytes, Sent: tot.SentBytes - before.SentBytes, Files: tot.Files - before.Files, Total: total,
			Tablespaces: spaces, TablespacesTotal: spaces, File: s.file.Load().(string), Unchanged: tot.UnchangedByte - before.UnchangedByte,
			Waiting: waitsFor(s.heldBack())}
	}
	s.fill.Store(&fill)
	return s.report.reading(ctx, fill)
}

// tell reports how far this process is, before it gives back its last item: whoever adds up what all readers sent has heard all of it then.
func (s *Files) tell() {
	p := (*s.fill.Load())()
	p.Stage = stageName
	s.cfg.Tell(p)
}

// heldBack reports whether a worker is held back by a full stream.
func (s *Files) heldBack() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.feeds {
		if f.Waiting() {
			return true
		}
	}
	return false
}

// Totals returns what this process has published so far.
func (s *Files) Totals() feed.Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.ended
	for f := range s.feeds {
		t = t.Plus(f.Totals())
	}
	return t
}

// newFeed opens the feed of one worker.
func (s *Files) newFeed(ctx context.Context, st pipeline.State, n uint32, prior *feed.Prior, alive func() error) (*feed.Feed, error) {
	codec, level := messages.ParseCodec(st.Requested.Codec)
	fd, err := feed.New(ctx, feed.Config{
		Client: s.cfg.Client, Backup: s.cfg.Backup, Session: n, Subject: pipeline.SubjectData, Codec: codec, Level: level,
		// The workers share the processors: one compressor each. All of them publish into one stream, whose queue has a bound.
		Workers: 1, MaxInFlight: max(2<<20, int64(8<<20)/int64(s.cfg.Jobs)),
		Prior: prior, Digest: work.Digest(st.Requested.Options), Throttle: s.cfg.Throttle, Strict: s.cfg.Strict, Alive: alive,
	})
	if err != nil {
		return nil, fmt.Errorf("could not open the pipeline for reading: %w", err)
	}
	s.mu.Lock()
	if s.feeds == nil {
		s.feeds = map[*feed.Feed]struct{}{}
	}
	s.feeds[fd] = struct{}{}
	s.mu.Unlock()
	return fd, nil
}

func (s *Files) closed(fd *feed.Feed) {
	s.mu.Lock()
	delete(s.feeds, fd)
	s.ended = s.ended.Plus(fd.Totals())
	s.mu.Unlock()
}
