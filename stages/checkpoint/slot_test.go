package checkpoint_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/checkpoint"
	"polarcast/testenv"
)

// connector opens replication connections to a server.
func connector(s *testenv.Server, options string) func(context.Context) (*postgres.Conn, error) {
	return func(ctx context.Context) (*postgres.Conn, error) {
		cfg, err := postgres.ParseConfig(postgres.ConnOptions{ConnString: s.ConnString() + options, Replication: true})
		if err != nil {
			return nil, err
		}
		return postgres.Connect(ctx, cfg)
	}
}

// prepare runs the stage until the backup is prepared, or until it fails.
func prepare(t *testing.T, cfg checkpoint.Config) error {
	t.Helper()
	env := &cfg.Env
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	env.Instance = stages.NewInstance()
	stage := checkpoint.New(cfg)
	go func() { ended <- stage.Run(ctx) }()
	prepared := make(chan error, 1)
	go func() {
		_, err := env.Log().Wait(ctx, func(st pipeline.State) (bool, error) { return st.Prepared != nil, nil })
		prepared <- err
	}()
	select {
	case err := <-ended:
		return err
	case err := <-prepared:
		cancel()
		<-ended
		return err
	}
}

// requests makes a function that asks for backups.
func requests(t *testing.T) func(id, slot string, own bool) stages.Env {
	t.Helper()
	js, err := pipeline.StartServer(pipeline.ServerOptions{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(js.Shutdown)
	client, err := pipeline.Connect(t.Context(), pipeline.ClientOptions{Server: js})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return func(id, slot string, own bool) stages.Env {
		req := messages.Requested{Source: "stream", Targets: []string{"main"}, WALMethod: "stream", Slot: slot, CreateSlot: true, OwnSlot: own}
		if err := client.CreateBackup(t.Context(), id, req, pipeline.StreamOptions{MaxBytes: 1 << 20, Targets: req.Targets}); err != nil {
			t.Fatal(err)
		}
		return stages.Env{Client: client, Backup: id}.WithDefaults()
	}
}

// TestCreateSlotAgain: a slot that a killed run has made is used by the next one; one that was there before is refused by each.
func TestCreateSlotAgain(t *testing.T) {
	s := testenv.Start(t, 15, testenv.Options{})
	backup := requests(t)
	killed := backup("killed", "mine", false)
	// What a run leaves that is killed between the making of the slot and the event that says so.
	if err := killed.Append(t.Context(), "checkpoint", messages.EventSlotIntended, messages.SlotIntended{Slot: "mine"}); err != nil {
		t.Fatal(err)
	}
	s.Exec("SELECT pg_create_physical_replication_slot('mine')")
	if err := prepare(t, checkpoint.Config{Env: killed, Connect: connector(s, "")}); err != nil {
		t.Errorf("continued after the slot was made: %v", err)
	}

	s.Exec("SELECT pg_create_physical_replication_slot('others')")
	other := backup("other", "others", false)
	for range 2 {
		if err := prepare(t, checkpoint.Config{Env: other, Connect: connector(s, "")}); err == nil || !strings.Contains(err.Error(), "already exists") {
			t.Errorf("another's slot: %v", err)
		}
	}
	s.Exec("SELECT pg_drop_replication_slot('others')")
	if err := prepare(t, checkpoint.Config{Env: other, Connect: connector(s, "")}); err != nil {
		t.Errorf("when the name is free: %v", err)
	}
	if n := s.Value("SELECT count(*) FROM pg_replication_slots"); n != "2" {
		t.Errorf("%s slots", n)
	}
}

// A link that is cut before the first session, or when the slot is dropped, ends neither: the server had been reached before.
func TestALinkThatIsCutBeforeAndAfter(t *testing.T) {
	s := testenv.Start(t, 15, testenv.Options{})
	px := s.Proxy()
	straight, proxied := connector(s, ""), connector(s, fmt.Sprintf(" host=127.0.0.1 port=%d", px.Port))
	cut := 0
	connect := func(ctx context.Context) (*postgres.Conn, error) {
		if cut--; cut < 0 {
			return straight(ctx)
		}
		px.Refuse(true)
		return proxied(ctx)
	}
	env := requests(t)("cut", "own", true)
	cfg := checkpoint.Config{Env: env, Connect: connect, Reconnects: 2, RetryDelay: time.Millisecond}
	for _, c := range []struct {
		cuts int
		ok   bool
	}{{3, false}, {2, true}} {
		cut = c.cuts
		if err := prepare(t, cfg); (err == nil) != c.ok {
			t.Errorf("cut %d times, connected again twice: %v", c.cuts, err)
		}
	}
	cut = 2
	if err := checkpoint.DropSlot(t.Context(), connect, "own"); err != nil {
		t.Error(err)
	}
	if n := s.Value("SELECT count(*) FROM pg_replication_slots"); n != "0" {
		t.Errorf("%s slots", n)
	}
}
