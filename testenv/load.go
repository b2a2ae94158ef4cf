package testenv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Load is a set of clients that write to a server until Stop.
type Load struct {
	s         *Server
	stopping  atomic.Bool
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	committed atomic.Int64
	failed    atomic.Int64
	mu        sync.Mutex
	lastError error
}

// Committed is the number of transactions (or DDL rounds) that the server has confirmed so far.
func (l *Load) Committed() int64 { return l.committed.Load() }

// Failed is the number of failed ones; clients connect again and go on, so that a server may be restarted under the load.
func (l *Load) Failed() int64 { return l.failed.Load() }

// Stop ends the clients, waits for them, and returns what Committed says. The test fails when they have not confirmed anything.
func (l *Load) Stop() int64 {
	l.s.t.Helper()
	l.halt()
	if l.Committed() == 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.s.t.Errorf("the load did nothing; its last error: %v", l.lastError)
	}
	return l.Committed()
}

// halt lets each client come to the end of its round, and cancels what lasts longer: a DROP DATABASE that is cancelled leaves an invalid database behind.
func (l *Load) halt() {
	l.stopping.Store(true)
	impatient := time.AfterFunc(haltPatience, l.cancel)
	defer impatient.Stop()
	l.wg.Wait()
	l.cancel()
}

// haltPatience is how long a round may go on after Stop, before it is cancelled.
const haltPatience = 20 * time.Second

// WaitCommitted waits until n more are confirmed.
func (l *Load) WaitCommitted(n int64) {
	l.s.t.Helper()
	want := l.Committed() + n
	since, activity := time.Now(), ""
	l.s.Eventually(fmt.Sprintf("%d more transactions", n), func() (bool, error) {
		if l.Committed() >= want {
			return true, nil
		}
		if time.Since(since) > startTimeout/2 && activity == "" {
			activity = l.s.activity()
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return false, fmt.Errorf("the last error is: %v; what the server does:\n%s", l.lastError, activity)
	})
}

// activity is what the server's processes do, for somebody who looks for what a test waits for.
func (s *Server) activity() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := s.connect(ctx, "postgres")
	if err != nil {
		return err.Error()
	}
	defer conn.Close(ctx)
	res, err := conn.PgConn().Exec(ctx, `SELECT string_agg(concat_ws(' ', pid, state, wait_event_type, wait_event, pg_blocking_pids(pid), query), E'\n') FROM pg_stat_activity`).ReadAll()
	if err != nil {
		return err.Error()
	}
	return string(res[0].Rows[0][0])
}

// startLoad runs step in a loop on each of n clients.
func (s *Server) startLoad(db string, n int, step func(ctx context.Context, conn *pgx.Conn, client, round int) error) *Load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Load{s: s, cancel: cancel}
	s.t.Cleanup(l.halt)
	for client := range n {
		l.wg.Go(func() { l.client(ctx, db, client, step) })
	}
	return l
}

func (l *Load) client(ctx context.Context, db string, client int, step func(context.Context, *pgx.Conn, int, int) error) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			conn.Close(context.WithoutCancel(ctx))
		}
	}()
	for round := 0; ctx.Err() == nil && !l.stopping.Load(); round++ {
		var err error
		if conn == nil || conn.IsClosed() {
			conn, err = l.s.connect(ctx, db)
		}
		if err == nil {
			err = step(ctx, conn, client, round)
		}
		if err == nil {
			l.committed.Add(1)
			continue
		}
		if ctx.Err() != nil {
			return
		}
		l.failed.Add(1)
		l.mu.Lock()
		l.lastError = err
		l.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

// LoadTPCB makes pgbench's tables in database postgres: scale times 1 branch, 10 tellers, and rows accounts (pgbench itself: 100000).
func (s *Server) LoadTPCB(scale, rows int) {
	s.t.Helper()
	s.Exec(`
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance bigint, filler char(88)) WITH (fillfactor=100);
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance bigint, filler char(84)) WITH (fillfactor=100);
CREATE TABLE pgbench_accounts (aid int, bid int, abalance bigint, filler char(84)) WITH (fillfactor=100);
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));`,
		fmt.Sprintf("INSERT INTO pgbench_branches SELECT i, 0, '' FROM generate_series(1, %d) i", scale),
		fmt.Sprintf("INSERT INTO pgbench_tellers SELECT i, (i - 1) / 10 + 1, 0, '' FROM generate_series(1, %d) i", scale*10),
		fmt.Sprintf("INSERT INTO pgbench_accounts SELECT i, (i - 1) / %d + 1, 0, md5(i::text) FROM generate_series(1, %d) i", rows, scale*rows),
		"ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid)", "CREATE INDEX ON pgbench_history (aid)", "CHECKPOINT")
}

// StartTPCB runs pgbench's transaction on the tables of LoadTPCB from a number of clients. CheckTPCB holds at every moment.
func (s *Server) StartTPCB(clients int) *Load {
	s.t.Helper()
	var scale, accounts int
	s.QueryRow("SELECT (SELECT count(*) FROM pgbench_branches), (SELECT count(*) FROM pgbench_accounts)", &scale, &accounts)
	return s.startLoad("postgres", clients, func(ctx context.Context, conn *pgx.Conn, _, _ int) error {
		aid, tid, delta := rand.IntN(accounts)+1, rand.IntN(scale*10)+1, rand.IntN(10001)-5000
		bid := (tid-1)/10 + 1
		_, err := conn.PgConn().Exec(ctx, fmt.Sprintf(`BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + %[4]d WHERE aid = %[1]d;
UPDATE pgbench_tellers SET tbalance = tbalance + %[4]d WHERE tid = %[2]d;
UPDATE pgbench_branches SET bbalance = bbalance + %[4]d WHERE bid = %[3]d;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (%[2]d, %[3]d, %[1]d, %[4]d, CURRENT_TIMESTAMP);
COMMIT`, aid, tid, bid, delta)).ReadAll()
		return err
	})
}

// CheckTPCB fails the test unless the four sums of the TPC-B tables agree, as they do at every consistent moment.
func (s *Server) CheckTPCB() {
	s.t.Helper()
	v := s.Value(`SELECT ROW(a, t, b, h)::text || CASE WHEN a = t AND t = b AND b = h THEN '' ELSE ' differ' END FROM
(SELECT sum(abalance) a FROM pgbench_accounts) a, (SELECT sum(tbalance) t FROM pgbench_tellers) t,
(SELECT sum(bbalance) b FROM pgbench_branches) b, (SELECT coalesce(sum(delta), 0) h FROM pgbench_history) h`)
	if len(v) > 7 && v[len(v)-7:] == " differ" {
		s.t.Errorf("the sums of accounts, tellers, branches and history on port %d: %s", s.Port, v)
	}
}
