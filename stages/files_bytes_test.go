package stages_test

import (
	"fmt"
	"testing"

	"polarcast/pipeline"
	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestFilesLostBytes counts what is read and sent after a session was lost at 50 % and at 90 %: by comparing and by stitching, which must not be more than a
// start from nothing, and for stitching about what was left. The table is printed; a soak run takes a larger server.
func TestFilesLostBytes(t *testing.T) {
	t.Parallel()
	testenv.SomeMajors(t, []int{14}, func(t *testing.T, major int) {
		srv := testenv.Start(t, major, testenv.Options{Checksums: true})
		rows := 150000
		if testenv.Soak() {
			rows = 400000
		}
		srv.Exec(fmt.Sprintf("CREATE TABLE t AS SELECT g AS a, md5(g::text) || md5((g+1)::text) AS b FROM generate_series(1, %d) g", rows), "CREATE INDEX ON t (a)", "VACUUM FREEZE t", "CHECKPOINT")
		srv.LoadTPCB(1, 1000)
		load := srv.StartTPCB(1) // without any WAL there is nothing that tells that the server was not set back
		defer load.Stop()
		percents := []int64{50, 90}
		if !testenv.Soak() {
			percents = percents[1:]
		}
		t.Logf("%-10s %5s %12s %12s %12s", "", "lost", "total", "read", "sent")
		for _, at := range percents {
			for _, stitch := range []bool{false, true} {
				name := "compare"
				if stitch {
					name = "stitch"
				}
				t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) { lostBytes(t, srv, name, at, stitch) })
			}
		}
	})
}

func lostBytes(t *testing.T, srv *testenv.Server, name string, at int64, stitch bool) {
	r := newRig(t, srv, rigOptions{read: source.ReadPath, stitch: stitch})
	defer srv.Exec("SELECT pg_drop_replication_slot('pc')")
	r.writers()
	g := newGate(0)
	stopReader := r.reader(1, g.pass)
	stopCheckpoint := r.checkpoint()
	total := share(r, g, at)
	g.reached(t, total*at/100-2<<20)
	r.indexed(g)
	srv.Exec(kill)
	r.wait("the second session", func(st pipeline.State) bool { return len(st.Sessions) > 1 })
	g.open()
	st := r.completed()
	stopReader()
	stopCheckpoint()
	d := st.Session().ReadDone
	sent := d.Bytes - d.UnchangedBytes
	t.Logf("%-10s %4d%% %12d %12d %12d", name, at, total, d.Bytes, sent)
	left := total * (100 - at) / 100
	if d.Bytes > total*11/10 || sent > left+total/10+4<<20 {
		t.Errorf("%d bytes were read and %d sent of %d, when %d were left", d.Bytes, sent, total, left)
	}
	if stitch && d.Bytes > left+total/10+4<<20 {
		t.Errorf("%d bytes were read when %d were left: what was delivered was read again", d.Bytes, left)
	}
}
