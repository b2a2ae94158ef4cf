package testenv

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// NATSOptions are the choices for a NATS server process.
type NATSOptions struct {
	Conf     string // lines added to the configuration file of each server
	MaxStore string // limit of JetStream's store, "64MB" for example; empty: 8GB
	Store    string // directory of the store; empty: a new one. Not for clusters
}

// NATS is one nats-server process with JetStream on 127.0.0.1, as the unprivileged user.
type NATS struct {
	Port, Monitor int
	Store         string // directory of JetStream's store

	t       testing.TB
	program string
	conf    string
	proc    *Process
}

// StartNATS runs one server and waits until JetStream is ready.
func StartNATS(t testing.TB, opts NATSOptions) *NATS {
	t.Helper()
	n := newNATS(t, "single", opts, "")
	n.Start()
	return n
}

// StartNATSCluster runs a cluster of so many servers (three or more) and waits until JetStream is ready on each.
func StartNATSCluster(t testing.TB, size int, opts NATSOptions) []*NATS {
	t.Helper()
	ports := make([]int, size)
	var routes []string
	for i := range ports {
		port, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = port
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	nodes := make([]*NATS, size)
	for i := range nodes {
		cluster := fmt.Sprintf("cluster { name: tests, listen: 127.0.0.1:%d, routes: [%s] }\n", ports[i], strings.Join(routes, ", "))
		nodes[i] = newNATS(t, fmt.Sprintf("n%d", i+1), opts, cluster)
		nodes[i].launch()
	}
	for _, n := range nodes {
		n.WaitReady()
	}
	return nodes
}

func newNATS(t testing.TB, name string, opts NATSOptions, cluster string) *NATS {
	t.Helper()
	n := &NATS{t: t, program: build(t, "./testenv/natsd"), Store: opts.Store}
	dir := Dir(t)
	if n.Store == "" || cluster != "" {
		n.Store = filepath.Join(dir, "store")
	}
	for _, port := range []*int{&n.Port, &n.Monitor} {
		p, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		*port = p
	}
	if opts.MaxStore == "" {
		opts.MaxStore = "8GB"
	}
	n.conf = filepath.Join(dir, "nats.conf")
	conf := fmt.Sprintf("server_name: %s\nlisten: 127.0.0.1:%d\nhttp: 127.0.0.1:%d\nmax_payload: 8MB\njetstream { store_dir: %q, max_file_store: %s, max_memory_store: 256MB }\n%s%s\n",
		name, n.Port, n.Monitor, n.Store, opts.MaxStore, cluster, opts.Conf)
	if err := os.WriteFile(n.conf, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	return n
}

// URL is the address for clients.
func (n *NATS) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", n.Port) }

// URLs are the addresses of several servers, joined by commas.
func URLs(nodes []*NATS) string {
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.URL())
	}
	return strings.Join(urls, ",")
}

// Start runs the server again on its store after Stop or Kill, on the same ports, and waits until it is ready.
func (n *NATS) Start() {
	n.t.Helper()
	n.launch()
	n.WaitReady()
}

func (n *NATS) launch() {
	n.t.Helper()
	n.proc = StartProcess(n.t, ProcessOptions{}, n.program, n.conf)
}

// WaitReady waits until the server's own health check passes: JetStream runs and, in a cluster, is current.
func (n *NATS) WaitReady() {
	n.t.Helper()
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	err := poll(startTimeout, func() (bool, error) {
		if n.proc.Ended() {
			n.t.Fatalf("natsd ended with code %d: %s", n.proc.ExitCode(), n.proc.Stderr())
		}
		resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", n.Monitor))
		if err != nil {
			return false, err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return false, fmt.Errorf("its health check says %s", resp.Status)
		}
		return true, nil
	})
	if err != nil {
		n.t.Fatalf("the NATS server on port %d is not ready: %v\n%s", n.Port, err, n.proc.Stderr())
	}
}

// Kill ends the server with SIGKILL.
func (n *NATS) Kill() { n.proc.Kill() }

// Stop ends the server in good order.
func (n *NATS) Stop() {
	n.t.Helper()
	n.proc.Signal(syscall.SIGTERM)
	n.proc.Wait(time.Minute)
}

// Pause stops the server's process without closing its connections; Resume continues it.
func (n *NATS) Pause() { n.proc.Signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (n *NATS) Resume() { n.proc.Signal(syscall.SIGCONT) }
