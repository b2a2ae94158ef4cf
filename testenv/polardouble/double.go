package polardouble

import (
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"polarcast/testenv"
)

// Options are the choices for a double.
type Options struct {
	PFS           bool   // the shared tree is on PFS: paths below /Disk, members without owner and mode
	Disk          string // polar_disk_name; empty: "home", with PFS "nvme1n1"
	Relative      bool   // polar_datadir is relative to the data directory, as in PolarDB 15's own tests
	NotShared     bool   // a PolarDB without shared storage: four columns in the header, one tree
	FullpageBytes int64  // size of each of the three polar_fullpage files; 0: 1 MiB (256 MiB on a real server)
	Faults        Faults
}

// Faults are what goes wrong; Double.SetFaults changes them while it runs.
type Faults struct {
	CutAfter        int64         // reset the connection after so many bytes of archive data, in the next backup only; 0: never
	Hold            time.Duration // before that reset: the data stands still, the WAL stream goes on
	ChecksumFailure bool          // a warning in the stream and SQLSTATE XX001 after the end position, as for damaged pages
	Refuse          bool          // SQLSTATE 55000, what a Replica or Standby with full_page_writes=off says
	LoseMember      string        // leave the member of this name out of the shared archive; the manifest still lists it
	Tear            bool          // end the last archive in the middle of a member
}

// Double is a PolarDB on the wire. It listens on 127.0.0.1 until the test ends.
type Double struct {
	Port    int
	Major   int
	DataDir string // polar_datadir, as SHOW prints it

	t        testing.TB
	upstream *testenv.Server
	opts     Options
	dir      string
	listener net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex
	faults   Faults
	conns    map[net.Conn]bool
	closed   bool
	commands []string
}

// Start puts a double before a real server of major 11 or 15.
func Start(t testing.TB, upstream *testenv.Server, opts Options) *Double {
	t.Helper()
	if upstream.Major != 11 && upstream.Major != 15 {
		t.Fatalf("PolarDB is 11 or 15, not %d", upstream.Major)
	}
	if opts.Disk == "" {
		opts.Disk = "home"
		if opts.PFS {
			opts.Disk = "nvme1n1"
		}
	}
	if opts.FullpageBytes == 0 {
		opts.FullpageBytes = 1 << 20
	}
	d := &Double{t: t, upstream: upstream, opts: opts, faults: opts.Faults, Major: upstream.Major, dir: testenv.Dir(t), conns: map[net.Conn]bool{}}
	d.DataDir = "file-dio://" + d.dir + "/shared"
	if opts.Relative {
		d.DataDir = "file-dio://./polar_shared_data/"
	}
	if opts.PFS {
		d.DataDir = "/" + opts.Disk + "/shared_data/"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.listener = l
	d.Port = l.Addr().(*net.TCPAddr).Port
	d.wg.Go(d.accept)
	t.Cleanup(d.Close)
	return d
}

// ConnString is a keyword/value connection string for libpq and pgx.
func (d *Double) ConnString() string {
	return "host=127.0.0.1 port=" + strconv.Itoa(d.Port) + " user=" + d.upstream.User + " dbname=postgres sslmode=disable"
}

// Host is the address of the double's port.
func (d *Double) Host() string { return "127.0.0.1" }

// SetFaults changes what goes wrong from the next command on.
func (d *Double) SetFaults(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
}

// takeFaults gives the faults of a backup that starts; CutAfter counts for one.
func (d *Double) takeFaults() Faults {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.faults
	d.faults.CutAfter = 0
	return f
}

// Commands are the replication commands that clients have sent so far.
func (d *Double) Commands() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.commands...)
}

// Close ends all connections and waits for them.
func (d *Double) Close() {
	d.mu.Lock()
	d.closed = true
	for c := range d.conns {
		c.Close()
	}
	d.mu.Unlock()
	d.listener.Close()
	d.wg.Wait()
}

// keep remembers a connection so that Close ends it.
func (d *Double) keep(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		c.Close()
		return false
	}
	d.conns[c] = true
	return true
}

func (d *Double) forget(c net.Conn) {
	c.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

func (d *Double) accept() {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return
		}
		if d.keep(c) {
			d.wg.Go(func() {
				defer d.forget(c)
				d.serve(c)
			})
		}
	}
}

// dial connects to the real server.
func (d *Double) dial() (net.Conn, error) {
	c, err := net.Dial("tcp", net.JoinHostPort(d.upstream.Host(), d.upstream.PortString()))
	if err == nil && !d.keep(c) {
		err = net.ErrClosed
	}
	return c, err
}
