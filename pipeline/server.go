package pipeline

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// minFree is the free space that an embedded server needs to start: the chunk stream's default bound, and room for the index.
const minFree = 256 << 20

// ServerOptions configures an embedded JetStream server.
type ServerOptions struct {
	// StoreDir is where streams are kept. It is created when it is not there.
	StoreDir string
	// MaxStore bounds the store, in bytes; 0 is no bound but the disk.
	MaxStore int64
	// Listen is host:port for clients of other processes; "" serves only this process.
	Listen string
	// SyncAlways makes every message durable before it is confirmed. Without it the system writes them back in its own time: a killed process
	// loses nothing, a lost machine may.
	SyncAlways bool
	// MaxPayload is the largest message, in bytes; 0 is NATS's default of 1 MiB.
	MaxPayload int32
	// User and Password are asked of clients when they are set.
	User, Password string
	// TLSCert and TLSKey make clients use TLS.
	TLSCert, TLSKey string
	Logger          *slog.Logger
}

// Server is an embedded JetStream server.
type Server struct {
	s              *server.Server
	lock           *os.File
	log            *serverLog
	user, password string
}

// StartServer starts an embedded server and returns when it takes connections.
func StartServer(o ServerOptions) (*Server, error) {
	if o.StoreDir == "" {
		return nil, errors.New("the embedded JetStream server needs a directory for its store")
	}
	if err := os.MkdirAll(o.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("could not create the JetStream store: %w", err)
	}
	lock, err := lockStore(o.StoreDir)
	if err != nil {
		return nil, err
	}
	log := &serverLog{l: o.Logger}
	if log.l == nil {
		log.l = slog.New(slog.DiscardHandler)
	}
	s, err := start(o, log)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &Server{s: s, lock: lock, log: log, user: o.User, password: o.Password}, nil
}

// lockStore makes sure that no other process uses the store.
func lockStore(dir string) (*os.File, error) {
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("could not create file \"%s\": %w", name, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("the JetStream store \"%s\" is in use by another process: wait for it to end, or end it", dir)
	}
	return f, nil
}

func start(o ServerOptions, log *serverLog) (*server.Server, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(o.StoreDir, &fs); err == nil {
		if free := int64(fs.Bavail) * fs.Bsize; free < minFree {
			return nil, fmt.Errorf("the file system of \"%s\" has %d MiB free, but the backup's buffers need %d MiB: make room, or use another directory",
				o.StoreDir, free>>20, minFree>>20)
		}
	}
	so := &server.Options{
		ServerName: "polarcast-" + strconv.Itoa(os.Getpid()), JetStream: true, StoreDir: o.StoreDir, NoSigs: true,
		DontListen: o.Listen == "", SyncAlways: o.SyncAlways, MaxPayload: o.MaxPayload, Username: o.User, Password: o.Password,
		JetStreamMaxMemory: 32 << 20, JetStreamMaxStore: o.MaxStore, DisableJetStreamBanner: true,
	}
	if so.JetStreamMaxStore == 0 {
		so.JetStreamMaxStore = 1 << 50
	}
	if o.Listen != "" {
		host, port, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return nil, fmt.Errorf("listen address %q is not HOST:PORT: %w", o.Listen, err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, fmt.Errorf("listen address %q has no port number", o.Listen)
		}
		if n == 0 {
			n = server.RANDOM_PORT
		}
		so.Host, so.Port = host, n
	}
	if o.TLSCert != "" {
		tc, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: o.TLSCert, KeyFile: o.TLSKey})
		if err != nil {
			return nil, fmt.Errorf("could not load the server's certificate: %w", err)
		}
		so.TLSConfig = tc
	}
	s, err := server.NewServer(so)
	if err != nil {
		return nil, fmt.Errorf("could not start the embedded JetStream server: %w", err)
	}
	s.SetLoggerV2(log, false, false, false)
	go s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("the embedded JetStream server did not start within 30 s; is the port %q free, and \"%s\" writable?", o.Listen, o.StoreDir)
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		return nil, fmt.Errorf("the embedded JetStream server could not open its store \"%s\"", o.StoreDir)
	}
	return s, nil
}

// URL is where other processes connect; "" when the server does not listen.
func (s *Server) URL() string {
	if s.s.Addr() == nil {
		return ""
	}
	return s.s.ClientURL()
}

// Shutdown ends the server. The store stays.
func (s *Server) Shutdown() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
	s.lock.Close()
}
