package stages_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/checkpoint"
	"polarcast/stages/node"
	"polarcast/stages/source"
	"polarcast/stages/storage"
	"polarcast/stages/tablespace"
	"polarcast/stages/target"
	"polarcast/stages/wal"
	"polarcast/testenv"
)

// rig is one backup of one server with an embedded JetStream; its stages are started and killed one by one.
type rig struct {
	t      *testing.T
	srv    *testenv.Server
	ctx    context.Context
	client *pipeline.Client
	env    stages.Env
	id     string
	dir    string
	user   string
	spaces []target.Mapping
	open   func(ctx context.Context, st pipeline.State) (source.Reader, error)
	read   source.Options

	mu   sync.Mutex
	errs []error
	wg   sync.WaitGroup
	live map[string]int // stages that run, by name
}

type rigOptions struct {
	read   string
	user   string
	label  string
	stitch bool
	adjust func(*messages.Requested)
	spaces []target.Mapping
	open   func(source.Reader) source.Reader
}

func newRig(t *testing.T, srv *testenv.Server, o rigOptions) *rig {
	t.Helper()
	limit := 8 * time.Minute
	if testenv.Soak() {
		limit = 20 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("the backup took longer than %v", limit))
	t.Cleanup(cancel)
	js, err := pipeline.StartServer(pipeline.ServerOptions{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(js.Shutdown)
	client, err := pipeline.Connect(ctx, pipeline.ClientOptions{Server: js})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r := &rig{live: map[string]int{}, t: t, srv: srv, ctx: ctx, client: client, id: "b1", dir: filepath.Join(testenv.Dir(t), "copy"), user: o.user, spaces: o.spaces}
	if r.user == "" {
		r.user = srv.User
	}
	log := slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	r.env = stages.Env{Client: client, Backup: r.id, Logger: log}.WithDefaults()
	req := messages.Requested{Label: "test backup", Source: "files", Read: o.read, Targets: []string{"main"}, WALMethod: "stream", Codec: "lz4", Stitch: o.stitch,
		Options: messages.BackupOptions{Checkpoint: "fast", Manifest: "yes", VerifyChecksums: true, EstimateSize: true}, Slot: "pc", CreateSlot: true}
	if o.label != "" {
		req.Label = o.label
	}
	if o.adjust != nil {
		o.adjust(&req)
	}
	if err := client.CreateBackup(ctx, r.id, req, pipeline.StreamOptions{MaxBytes: 256 << 20, Targets: req.Targets}); err != nil {
		t.Fatal(err)
	}
	r.read = source.Options{Read: o.read, Dir: srv.Data, Connect: r.sql, Connections: 3, Logger: log}
	r.open = func(ctx context.Context, st pipeline.State) (source.Reader, error) {
		rd, err := r.read.Open(ctx, st.Prepared)
		if err == nil && o.open != nil {
			rd = o.open(rd)
		}
		return rd, err
	}
	t.Cleanup(func() { cancel(); r.ended() })
	return r
}

// ended waits for the stages, which were cancelled, and names those that go on all the same.
func (r *rig) ended() {
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		r.mu.Lock()
		defer r.mu.Unlock()
		r.t.Errorf("a minute after they were cancelled, these stages still run: %v", r.live)
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	defer func() { _ = recover() }() // a line that comes after the test's end
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (r *rig) connString(db string) string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s sslmode=disable", r.srv.Host(), r.srv.Port, r.user, db)
}

func (r *rig) sql(ctx context.Context) (*pgconn.PgConn, error) {
	return pgconn.Connect(ctx, r.connString("postgres"))
}

func (r *rig) replication(ctx context.Context) (*postgres.Conn, error) {
	cfg, err := postgres.ParseConfig(postgres.ConnOptions{ConnString: r.connString("postgres"), Replication: true, AppName: "rig"})
	if err != nil {
		return nil, err
	}
	return postgres.Connect(ctx, cfg)
}

func (r *rig) alive(name string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live[name] += n; r.live[name] == 0 {
		delete(r.live, name)
	}
}

// run starts a stage; the returned function kills it and waits.
func (r *rig) run(name string, fn func(context.Context) error) (kill func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan struct{})
	r.wg.Add(1)
	r.alive(name, 1)
	go func() {
		defer r.wg.Done()
		defer close(done)
		defer r.alive(name, -1)
		if err := fn(ctx); err != nil && ctx.Err() == nil {
			r.mu.Lock()
			r.errs = append(r.errs, fmt.Errorf("%s: %w", name, err))
			r.mu.Unlock()
			r.t.Logf("stage %s ended: %v", name, err)
		}
	}()
	return func() { cancel(); <-done }
}

func (r *rig) fresh() stages.Env {
	e := r.env
	e.Instance = stages.NewInstance()
	return e
}

func (r *rig) checkpoint() func() {
	return r.run("checkpoint", checkpoint.NewFiles(checkpoint.FilesConfig{Config: checkpoint.Config{Env: r.fresh(), Connect: r.replication, RetryDelay: 100 * time.Millisecond}, ConnectSQL: r.sql,
		Open: r.open, Retries: 5, PingInterval: 50 * time.Millisecond, SpillDir: r.t.TempDir()}).Run)
}

func (r *rig) streamCheckpoint() func() {
	return r.run("checkpoint", checkpoint.New(checkpoint.Config{Env: r.fresh(), Connect: r.replication}).Run)
}

func (r *rig) reader(jobs int, throttle func(context.Context, int) error) func() {
	return r.run("tablespace", tablespace.NewFiles(tablespace.FilesConfig{Env: r.fresh(), Open: r.open, Jobs: jobs, SpillDir: r.t.TempDir(), Throttle: throttle}).Run)
}

func (r *rig) writers() {
	r.storage()
	r.walAndNode()
}

func (r *rig) walAndNode() {
	r.wal()
	r.node()
}

func (r *rig) node() {
	st := storage.Config{Env: r.fresh(), Target: r.target(), Sync: storage.SyncNone}
	r.run("node", node.New(node.Config{Env: st.Env, Storage: st}).Run)
}

func (r *rig) wal() func() {
	return r.run("wal", wal.New(wal.Config{Env: r.fresh(), Connect: r.replication, StatusInterval: time.Second}).Run)
}

func (r *rig) storage() func() {
	return r.run("storage", storage.New(storage.Config{Env: r.fresh(), Target: r.target(), Sync: storage.SyncNone}).Run)
}

func (r *rig) target() target.Config {
	return target.Config{Name: "main", Format: target.Plain, Dir: r.dir, Tablespaces: r.spaces}
}

// wait waits until the event log says something.
func (r *rig) wait(what string, cond func(pipeline.State) bool) pipeline.State {
	r.t.Helper()
	st, err := r.env.Log().Wait(r.ctx, func(st pipeline.State) (bool, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return cond(st), errors.Join(errors.Join(r.errs...), st.Terminal())
	})
	if err != nil {
		r.t.Fatalf("waiting for %s: %v", what, err)
	}
	return st
}

func (r *rig) completed() pipeline.State {
	r.t.Helper()
	done := make(chan struct{})
	defer close(done)
	go func() { // an error of a stage must end the wait
		for {
			select {
			case <-done:
				return
			case <-time.After(200 * time.Millisecond):
				r.mu.Lock()
				n := len(r.errs)
				r.mu.Unlock()
				if n > 0 {
					_ = r.env.Append(r.ctx, "test", messages.EventNote, messages.Note{Text: "a stage failed"})
				}
			}
		}
	}()
	return r.wait("the end of the backup", func(st pipeline.State) bool { return st.Completed != nil })
}

// verify runs pg_verifybackup where it can read the manifest.
func (r *rig) verify() {
	r.t.Helper()
	tool := testenv.Tool(r.t, "pg_verifybackup")
	major := testenv.ToolMajor("pg_verifybackup")
	if r.srv.Major >= 17 && major < 17 {
		r.t.Logf("pg_verifybackup %d cannot read a manifest of version 2", major)
		return
	}
	out, err := exec.Command(tool, "--no-parse-wal", r.dir).CombinedOutput()
	if err != nil {
		r.t.Errorf("pg_verifybackup: %v\n%s", err, out)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func mapping(from, to string) target.Mapping { return target.Mapping{Old: from, New: to} }
