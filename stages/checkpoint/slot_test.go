package checkpoint_test

import (
	"context"
	"strings"
	"testing"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/checkpoint"
	"polarcast/testenv"
)

// prepare runs the stage until the backup is prepared, or until it fails.
func prepare(t *testing.T, s *testenv.Server, env stages.Env) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	env.Instance = stages.NewInstance()
	stage := checkpoint.New(checkpoint.Config{Env: env, Connect: func(ctx context.Context) (*postgres.Conn, error) {
		cfg, err := postgres.ParseConfig(postgres.ConnOptions{ConnString: s.ConnString(), Replication: true})
		if err != nil {
			return nil, err
		}
		return postgres.Connect(ctx, cfg)
	}})
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

// TestCreateSlotAgain: a slot that a killed run has made is used by the next one; one that was there before is refused by each.
func TestCreateSlotAgain(t *testing.T) {
	s := testenv.Start(t, 15, testenv.Options{})
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
	backup := func(id, slot string) stages.Env {
		req := messages.Requested{Source: "stream", Targets: []string{"main"}, WALMethod: "stream", Slot: slot, CreateSlot: true}
		if err := client.CreateBackup(t.Context(), id, req, pipeline.StreamOptions{MaxBytes: 1 << 20, Targets: req.Targets}); err != nil {
			t.Fatal(err)
		}
		return stages.Env{Client: client, Backup: id}.WithDefaults()
	}

	killed := backup("killed", "mine")
	// What a run leaves that is killed between the making of the slot and the event that says so.
	if err := killed.Append(t.Context(), "checkpoint", messages.EventSlotIntended, messages.SlotIntended{Slot: "mine"}); err != nil {
		t.Fatal(err)
	}
	s.Exec("SELECT pg_create_physical_replication_slot('mine')")
	if err := prepare(t, s, killed); err != nil {
		t.Errorf("continued after the slot was made: %v", err)
	}

	s.Exec("SELECT pg_create_physical_replication_slot('others')")
	other := backup("other", "others")
	for range 2 {
		if err := prepare(t, s, other); err == nil || !strings.Contains(err.Error(), "already exists") {
			t.Errorf("another's slot: %v", err)
		}
	}
	s.Exec("SELECT pg_drop_replication_slot('others')")
	if err := prepare(t, s, other); err != nil {
		t.Errorf("when the name is free: %v", err)
	}
	if n := s.Value("SELECT count(*) FROM pg_replication_slots"); n != "2" {
		t.Errorf("%s slots", n)
	}
}
