package stages_test

import (
	"path/filepath"
	"strconv"
	"testing"

	"polarcast/internal/postgres"
	"polarcast/pipeline"
	"polarcast/stages/source"
	"polarcast/stages/target"
	"polarcast/testenv"
)

// stitched is a backup most of which was taken, and whose session is about to be lost.
type stitched struct {
	*rig
	srv   *testenv.Server
	loads []*testenv.Load
	gate  *gate
	total int64  // bytes that the first session listed
	kill  func() // of the checkpoint stage
	tear  *tearer
}

// stitchRig takes a part of a backup, in percent, from a server under a load of all kinds and by a reader that tears pages when hard is set, and
// changes what was delivered.
func stitchRig(t *testing.T, major int, percent int64, hard bool) *stitched {
	s := &stitched{gate: newGate(0)}
	var load *testenv.Load
	o := rigOptions{read: source.ReadPath, stitch: true}
	s.srv, load = busy(t, major)
	s.loads = append(s.loads, load)
	if hard {
		s.tear = newTearer(t)
		o.open = s.tear.wrap
		o.spaces = []target.Mapping{{Old: s.srv.Tablespace("ts1"), New: filepath.Join(testenv.Dir(t), "ts1")}}
		s.srv.Exec("CREATE EXTENSION amcheck")
		s.loads = append(s.loads, s.srv.StartMixed(2, "ts1"))
		s.loads[1].WaitCommitted(4)
	}
	s.rig = newRig(t, s.srv, o)
	s.writers()
	s.reader(2, s.gate.pass)
	s.kill = s.checkpoint()
	s.total = share(s.rig, s.gate, percent)
	s.gate.reached(t, s.total*percent/100-3<<20)
	s.indexed(s.gate)
	s.change()
	return s
}

// change changes a third of the rows of the large tables, most of whose pages were delivered.
func (s *stitched) change() {
	for _, name := range bigTables {
		s.srv.Exec("UPDATE " + name + " SET b = b || 'x' WHERE a % 3 = 0")
	}
	s.srv.Exec("CREATE TABLE late AS SELECT * FROM big WHERE a < 1000", "CREATE INDEX ON late (b)")
}

// scanned is where somebody who goes on with the first session has to begin to look through WAL.
func (s *stitched) scanned() postgres.LSN {
	st, err := s.env.Log().State(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if c := st.Sessions[0]; c.Scanned == nil {
		return postgres.LSN(c.Started.Redo)
	}
	return postgres.LSN(st.Sessions[0].Scanned.Last)
}

func lsn(t *testing.T, text string) postgres.LSN {
	t.Helper()
	v, err := postgres.ParseLSN(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *stitched) restart() { s.kill(); s.kill = s.checkpoint() }

// session waits for a session with this number or a later one.
func (s *stitched) session(n uint32) {
	began := func(st pipeline.State) bool { cur := st.Session(); return cur != nil && cur.Started.Session >= n }
	// The load drops what was listed, so that less than expected may be left to read.
	if st := s.wait("a further session", func(st pipeline.State) bool { return began(st) || st.Completed != nil }); !began(st) {
		s.t.Fatalf("the backup was complete before session %d: of %d bytes that were listed %d were read", n, s.total, s.gate.passed.Load())
	}
}

// rest ends the loads, so that the source's data are those of the backup's end, and lets the backup come to its end.
func (s *stitched) rest() pipeline.State {
	for _, l := range s.loads {
		l.Stop()
	}
	s.gate.open()
	return s.completed()
}

var losses = map[string]func(*stitched){
	"terminated": func(s *stitched) { s.srv.Exec(kill) },
	"fast":       func(s *stitched) { s.srv.Restart(testenv.Fast) },
	"immediate":  func(s *stitched) { s.srv.Restart(testenv.Immediate) },
	"checkpoint": (*stitched).restart,
	"twice": func(s *stitched) {
		s.srv.Restart(testenv.Immediate)
		s.session(2)
		s.gate.limit.Store(s.gate.passed.Load() + s.total/25)
		s.loads[0].WaitCommitted(20)
		s.srv.Exec(kill)
		s.session(3)
	},
}

// stitchMajors are the versions of an ordinary run: each way to lose a session with another one.
var stitchMajors = map[string][]int{"terminated": {18}, "fast": {15}, "immediate": {11}, "checkpoint": {13}, "twice": {17}}

// TestFilesStitched loses the session of a server under a load of all kinds, goes on without reading again what was delivered, and compares two nodes with
// the source: one that replays the backup's own WAL only, and one that follows the source. All pages that changed since the beginning are
// delivered torn. The naive way, which gives the node the last session's label, must fail the same comparison.
func TestFilesStitched(t *testing.T) {
	t.Parallel()
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			testenv.SomeMajors(t, stitchMajors[name], func(t *testing.T, major int) { stitch(t, major, lose) })
		})
	}
}

func stitch(t *testing.T, major int, lose func(*stitched)) {
	s := stitchRig(t, major, 65, true)
	srv := s.srv
	lose(s)
	s.session(2)
	s.loads[0].WaitCommitted(20)
	s.loads[1].WaitCommitted(5)
	// What a further session would have to look through is kept, however many checkpoints come.
	srv.Exec("CHECKPOINT")
	held := srv.Value("SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'pc'")
	if need := s.scanned(); need < lsn(t, held) {
		t.Errorf("the slot holds WAL from %s on, it was looked through up to %s", held, need)
	}
	st := s.rest()
	cur := st.Session()
	if cur.Started.StitchedTo != 1 {
		t.Fatalf("session %d is stitched to %d, want the first: %+v", cur.Started.Session, cur.Started.StitchedTo, st.Sessions[len(st.Sessions)-2].Lost)
	}
	if cur.Started.StartLSN != st.Sessions[0].Started.StartLSN {
		t.Errorf("the stitched session begins at %s, the first at %s", cur.Started.StartLSN, st.Sessions[0].Started.StartLSN)
	}
	// The load makes tables and databases meanwhile, which have to be read; of what there was, three tenths at least must not be read again.
	size, err := strconv.ParseInt(srv.Value("SELECT sum(pg_database_size(oid))::bigint::text FROM pg_database"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if size = max(size, s.total); cur.ReadDone.Bytes > size-s.total*30/100 {
		t.Errorf("the last session read %d bytes of %d, when there were %d at first", cur.ReadDone.Bytes, size, s.total)
	}
	if n := s.tear.pages(); n < 50 {
		t.Errorf("%d pages were torn: the reader did not do its worst", n)
	}
	s.verify()
	naive := naiveCopy(t, s.dir, cur)
	alone := clone(t, s.dir)
	want := srv.TableChecksums()
	const open = "SELECT string_agg(gid, ' ' ORDER BY gid) FROM pg_prepared_xacts"
	look := func(n *testenv.Server) {
		t.Helper()
		testenv.SameData(t, n.TableChecksums(), want)
		n.CheckTPCB()
		n.Integrity()
	}
	c := testenv.StartCopy(t, major, s.dir, testenv.Standby, testenv.CopyOptions{Primary: srv})
	c.CaughtUp(srv)
	look(c)
	c.Stop(testenv.Immediate)
	n := testenv.StartCopy(t, major, alone, testenv.Primary, testenv.CopyOptions{})
	look(n)
	// A standby does not list prepared transactions.
	if got, want := n.Value(open), srv.Value(open); got != want {
		t.Errorf("prepared transactions %q, want %q", got, want)
	}
	n.Stop(testenv.Immediate)
	n = testenv.PrepareCopy(t, major, naive, testenv.Standby, testenv.CopyOptions{Primary: srv})
	if !opens(n) || !follows(t, n, srv) {
		return // not silent, and not a node
	}
	if sameBig(t, n, srv) {
		t.Error("the naive way gave the same data: this test would not see a corrupt node")
	}
}
