package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"polarcast/testenv"
)

// Processes that are started together on a cluster, each over a server of its own, make what they share at the same time.
func TestTogetherOnACluster(t *testing.T) {
	t.Parallel()
	nodes := testenv.StartNATSCluster(t, 3, testenv.NATSOptions{})
	var clients []*Client
	for range 3 {
		for _, n := range nodes {
			clients = append(clients, connect(t, ClientOptions{URLs: []string{n.URL()}, Replicas: 3}))
		}
	}
	ctx := testContext(t)
	for round := range 4 {
		id := fmt.Sprintf("together%d", round)
		ensure := func(c *Client) error {
			for _, cfg := range append(c.streamConfigs(id, StreamOptions{}), c.eventConfig()) {
				if err := c.ensure(ctx, cfg); err != nil {
					return err
				}
				if _, err := c.info(ctx, cfg.Name); err != nil {
					return fmt.Errorf("made, but not there: %w", err)
				}
			}
			if err := c.AddTarget(ctx, id, "main"); err != nil {
				return err
			}
			_, err := c.TargetLag(ctx, id, "main")
			return err
		}
		for what, fn := range map[string]func(*Client) error{
			"streams": ensure,
			"leases":  func(c *Client) error { _, err := c.leases(ctx); return err },
			"work": func(c *Client) error {
				w, err := c.WorkConsumer(ctx, id, WorkOptions{})
				if err == nil {
					w.Close()
				}
				return err
			},
		} {
			errs := make([]error, len(clients))
			var all sync.WaitGroup
			for i, c := range clients {
				all.Go(func() { errs[i] = fn(c) })
			}
			all.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Errorf("round %d, %s: %v", round, what, err)
			}
		}
		for _, name := range []string{chunkStream + id, indexStream + id, workStream + id, eventStream, "KV_" + leaseBucket} {
			remove := func(ctx context.Context) error { return clients[0].js.DeleteStream(ctx, name) }
			if err := clients[0].try(ctx, remove); err != nil && !isGone(err) {
				t.Fatal(err)
			}
		}
	}
}

// A message whose confirmation was lost is sent again while the cluster still has it in hand.
func TestAMessageThatIsInProcessIsSentAgain(t *testing.T) {
	t.Parallel()
	nodes := testenv.StartNATSCluster(t, 3, testenv.NATSOptions{})
	c := connect(t, ClientOptions{URLs: []string{nodes[0].URL()}, Replicas: 3})
	const messages = 50
	createBackup(t, c, "b", StreamOptions{Targets: []string{"main"}, Replicas: 3})
	p := c.ChunkPublisher("b", PublisherOptions{})
	for i := range messages {
		first := &nats.Msg{Subject: p.prefix + string(SubjectData), Data: make([]byte, 1000), Header: nats.Header{jetstream.MsgIDHeader: []string{p.id + strconv.Itoa(i+1)}}}
		if err := c.nc.PublishMsg(first); err != nil {
			t.Fatal(err)
		}
		publish(t, p, i, i+1, 1000)
	}
	flush(t, p)
	info, err := c.info(testContext(t), chunkStream+"b")
	if err != nil || info.State.Msgs != messages {
		t.Errorf("%+v, %v: want %d messages", info, err, messages)
	}
}
