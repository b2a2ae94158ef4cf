package pipeline

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"polarcast/messages"
)

// foreignServer is a nats-server that somebody else has set up.
func foreignServer(t *testing.T, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir()}
	change(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server did not start")
	}
	return s
}

// wants fails unless the error says all of it.
func wants(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", texts)
	}
	for _, w := range texts {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestConnectSaysWhatToDo(t *testing.T) {
	ctx := testContext(t)
	plain := foreignServer(t, func(o *server.Options) { o.JetStream = false })
	_, err := Connect(ctx, ClientOptions{URLs: []string{plain.ClientURL()}})
	wants(t, err, plain.ClientURL(), "has no JetStream", "nats-server -js")

	small := foreignServer(t, func(o *server.Options) { o.MaxPayload = 64 << 10 })
	_, err = Connect(ctx, ClientOptions{URLs: []string{small.ClientURL()}})
	wants(t, err, small.ClientURL(), "65536 bytes", "raise max_payload")

	locked := foreignServer(t, func(o *server.Options) { o.Username, o.Password = "u", "secret" })
	_, err = Connect(ctx, ClientOptions{URLs: []string{locked.ClientURL()}, User: "u", Password: "wrong"})
	wants(t, err, locked.ClientURL(), "refuses these credentials")
	c := connect(t, ClientOptions{URLs: []string{strings.Replace(locked.ClientURL(), "//", "//u:secret@", 1)}})
	if strings.Contains(c.where, "secret") {
		t.Errorf("messages would show the password: %s", c.where)
	}

	_, err = Connect(ctx, ClientOptions{URLs: []string{"nats://127.0.0.1:1"}})
	wants(t, err, "127.0.0.1:1", "no NATS server answers")
}

func TestDeniedSubjectsAreNamed(t *testing.T) {
	s := foreignServer(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "all", Password: "x"},
			{Username: "api", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"polarcast.chunks.>", "polarcast.events.>", "polarcast.work.>"}}}},
			{Username: "none", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.>"}}}},
			{Username: "deaf", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.CONSUMER.MSG.NEXT.>"}}}},
		}
	})
	as := func(user string) ClientOptions {
		return ClientOptions{URLs: []string{s.ClientURL()}, User: user, Password: "x"}
	}
	ctx := testContext(t)
	createBackup(t, connect(t, as("all")), "b", StreamOptions{Targets: []string{"n1"}})

	_, err := Connect(ctx, as("none"))
	wants(t, err, s.ClientURL(), "does not allow", "$JS.API.INFO", "give it permission")

	c := connect(t, as("api"))
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 1, 100)
	err = p.Flush(ctx)
	wants(t, err, s.ClientURL(), "polarcast.chunks.b.data", "give it permission")
	if !errors.Is(err, ErrDenied) {
		t.Errorf("error %v is not ErrDenied", err)
	}
	wants(t, c.PublishWork(ctx, "b", []byte("item")), s.ClientURL(), "polarcast.work.b.item", "give it permission")
	wants(t, c.Log("b").Append(ctx, "test", "me", limit(1)), s.ClientURL(), "polarcast.events.b", "give it permission")

	k, err := connect(t, as("deaf")).Consumer(ctx, "b", "n1", ConsumerOptions{})
	if err == nil {
		defer k.Close()
		_, err = k.Next(ctx)
	}
	wants(t, err, s.ClientURL(), "$JS.API.CONSUMER.MSG.NEXT.POLARCAST_CHUNKS_b", "give it permission")
}

func TestStreamRemovedUnderAPublisher(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	p := c.ChunkPublisher("b", PublisherOptions{})
	publish(t, p, 0, 3, 100)
	flush(t, p)
	if err := c.DropStreams(testContext(t), "b"); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 3, 4, 100)
	err := p.Flush(testContext(t))
	wants(t, err, "POLARCAST_CHUNKS_b", "the embedded server", "was removed while the backup ran", "start the backup again")
	if !errors.Is(err, ErrNoStream) {
		t.Errorf("error %v is not ErrNoStream", err)
	}
}

func TestMessageTooLarge(t *testing.T) {
	c := newClient(t)
	createBackup(t, c, "b", StreamOptions{Targets: []string{"n1"}})
	err := c.ChunkPublisher("b", PublisherOptions{}).Publish(testContext(t), SubjectData, make([]byte, 2<<20), nil)
	wants(t, err, "2097152 bytes", "polarcast.chunks.b.data", "raise max_payload")
}

func TestNoRoomForAStream(t *testing.T) {
	c := connect(t, ClientOptions{Server: startServer(t, ServerOptions{MaxStore: 8 << 20})})
	ctx := testContext(t)
	createBackup(t, c, "b", StreamOptions{MaxBytes: 4 << 20, Targets: []string{"n1"}})
	err := c.CreateBackup(ctx, "big", messages.Requested{}, StreamOptions{MaxBytes: 1 << 30, Targets: []string{"n1"}})
	wants(t, err, "POLARCAST_CHUNKS_big", "no room", "raise the storage limit")
}

func TestStoreHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, ServerOptions{StoreDir: dir})
	_, err := StartServer(ServerOptions{StoreDir: dir})
	wants(t, err, dir, "in use by another process")
	s.Shutdown()
	again := startServer(t, ServerOptions{StoreDir: dir})
	again.Shutdown()

	file := dir + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = StartServer(ServerOptions{StoreDir: file + "/store"})
	wants(t, err, file)
	_, err = StartServer(ServerOptions{StoreDir: t.TempDir(), Listen: "nowhere"})
	wants(t, err, `"nowhere" is not HOST:PORT`)
}

func TestEmbeddedServerWithPasswordServesItsOwnProcessAndOthers(t *testing.T) {
	s := startServer(t, ServerOptions{Listen: "127.0.0.1:0", User: "u", Password: "p"})
	createBackup(t, connect(t, ClientOptions{Server: s}), "b", StreamOptions{Targets: []string{"n1"}})
	other := connect(t, ClientOptions{URLs: []string{s.URL()}, User: "u", Password: "p"})
	if _, err := other.ChunkStream(testContext(t), "b"); err != nil {
		t.Error(err)
	}
	if _, err := Connect(testContext(t), ClientOptions{URLs: []string{s.URL()}}); err == nil {
		t.Error("no password was asked for")
	}
}

func TestNamesAndTargetsAreChecked(t *testing.T) {
	c := newClient(t)
	for _, o := range []struct {
		id      string
		targets []string
		want    string
	}{
		{"a.b", []string{"n1"}, `backup name "a.b"`},
		{"", []string{"n1"}, `backup name ""`},
		{"b", []string{"n*"}, `target name "n*"`},
		{"b", []string{"n1", "n1"}, "named twice"},
		{"b", nil, "has no target"},
	} {
		err := c.CreateBackup(testContext(t), o.id, messages.Requested{}, StreamOptions{Targets: o.targets})
		wants(t, err, o.want)
	}
}

// A leader that was just chosen takes servers for gone that it has not heard of yet (nats-server 2.15.2 said so in a cluster that was being started again). Too few
// servers for the replicas stay too few.
func TestServersOfAClusterThatAreNotThereYet(t *testing.T) {
	noPeers := func(why string) error {
		return &jetstream.APIError{Code: 400, ErrorCode: 10005, Description: "no suitable peers for placement" + why}
	}
	if err := noPeers(", peer offline"); !isPassing(err) {
		t.Errorf("%v: is not waited for", err)
	}
	if err := noPeers(""); isPassing(err) {
		t.Errorf("%v: is waited for", err)
	}
	c := &Client{where: "nats://here"}
	wants(t, c.streamError("S", noPeers(", peer offline")), "nats://here", "S", "as many servers as --replicas", "peer offline")
}
