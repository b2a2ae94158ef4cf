package testenv

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestNATSKeepsAStreamOverAKill(t *testing.T) {
	n := StartNATS(t, NATSOptions{})
	nc, err := nats.Connect(n.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish("s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	n.Kill()
	n.Start()
	var info *nats.StreamInfo
	err = poll(time.Minute, func() (bool, error) {
		info, err = js.StreamInfo("S")
		return err == nil, err
	})
	if err != nil || info.State.Msgs != 1 {
		t.Fatalf("after the restart: %+v, %v; want one message", info, err)
	}
}

func TestNATSClusterTakesAReplicatedStream(t *testing.T) {
	if testing.Short() {
		t.Skip("three processes")
	}
	nodes := StartNATSCluster(t, 3, NATSOptions{})
	nc, err := nats.Connect(URLs(nodes))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	err = poll(time.Minute, func() (bool, error) {
		_, err := js.AddStream(&nats.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3})
		return err == nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	nodes[1].Kill()
	err = poll(time.Minute, func() (bool, error) {
		_, err := js.Publish("s", []byte("x"))
		return err == nil, err
	})
	if err != nil {
		t.Fatalf("with one of three killed: %v", err)
	}
	nodes[1].Start()
}
