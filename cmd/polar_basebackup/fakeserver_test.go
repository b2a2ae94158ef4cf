package main_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// message is one message of a server.
type message struct {
	typ  byte
	body []byte
}

// answers are what a fake server says to commands, by their first words.
type answers map[string][]message

// fake is a server that knows only what a script says.
type fake struct {
	t       testing.TB
	l       net.Listener
	answers answers
	// damage, when set, changes the bytes of an answer.
	damage func(command string, answer []byte) []byte

	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[net.Conn]bool
}

func startFake(t testing.TB, a answers) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, l: l, answers: a, conns: map[net.Conn]bool{}}
	f.wg.Add(1)
	go f.accept()
	return f
}

func (f *fake) port() string {
	_, port, _ := net.SplitHostPort(f.l.Addr().String())
	return port
}

func (f *fake) close() {
	f.l.Close()
	f.mu.Lock()
	for c := range f.conns {
		c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *fake) accept() {
	defer f.wg.Done()
	for {
		c, err := f.l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns[c] = true
		f.mu.Unlock()
		f.wg.Add(1)
		go func() {
			defer f.wg.Done()
			defer c.Close()
			f.serve(c)
		}()
	}
}

func (f *fake) serve(c net.Conn) {
	for {
		var head [8]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		if binary.BigEndian.Uint32(head[4:]) == 80877103 { // SSLRequest
			_, _ = c.Write([]byte("N"))
			continue
		}
		if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[:]))-8); err != nil {
			return
		}
		break
	}
	if !f.send(c, "start-up") {
		return
	}
	for {
		var head [5]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		body := make([]byte, max(int64(binary.BigEndian.Uint32(head[1:]))-4, 0))
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		switch head[0] {
		case 'Q':
			if !f.send(c, strings.TrimRight(string(body), "\x00")) {
				return
			}
		case 'c': // the client ends the copy
			if !f.send(c, "CopyDone") {
				return
			}
		case 'X':
			return
		}
	}
}

// send answers a command; false ends the connection.
func (f *fake) send(c net.Conn, command string) bool {
	var found []message
	known := ""
	for k, v := range f.answers {
		if strings.HasPrefix(command, k) && len(k) > len(known) {
			known, found = k, v
		}
	}
	if known == "" {
		found = []message{failure("42601", "syntax error"), ready()}
	}
	b := wire(found)
	if f.damage != nil {
		b = f.damage(known, b)
	}
	_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
	_, err := c.Write(b)
	return err == nil
}

func wire(ms []message) []byte {
	var b []byte
	for _, m := range ms {
		b = append(b, m.typ)
		b = binary.BigEndian.AppendUint32(b, uint32(len(m.body)+4))
		b = append(b, m.body...)
	}
	return b
}

func ready() message            { return message{'Z', []byte("I")} }
func tagged(tag string) message { return message{'C', []byte(tag + "\x00")} }
func failure(code, text string) message {
	return message{'E', []byte("SERROR\x00C" + code + "\x00M" + text + "\x00\x00")}
}

// rows is a result set.
func rows(columns []string, values ...[]string) []message {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(columns)))
	for _, n := range columns {
		b = append(append(b, n...), 0)
		b = append(b, make([]byte, 18)...)
	}
	ms := []message{{'T', b}}
	for _, v := range values {
		b := binary.BigEndian.AppendUint16(nil, uint16(len(v)))
		for _, f := range v {
			if f == "NULL" {
				b = binary.BigEndian.AppendUint32(b, 0xFFFFFFFF)
				continue
			}
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
		}
		ms = append(ms, message{'D', b})
	}
	return append(ms, tagged("SELECT"))
}

// goodServer answers a backup of a small server of a version as such a server does.
func goodServer(version string) answers {
	show := func(name, value string) []message { return append(rows([]string{name}, []string{value}), ready()) }
	start := time.Unix(1700000000, 0)
	archive, manifest := smallBackup(start)
	var bb []message
	bb = append(bb, rows([]string{"recptr", "tli"}, []string{"0/2000028", "1"})...)
	bb = append(bb, rows([]string{"spcoid", "spclocation", "size"}, []string{"NULL", "NULL", "100"})...)
	if version[:2] >= "15" {
		bb = append(bb, message{'H', []byte{0, 0, 0}}, message{'d', []byte("nbase.tar\x00\x00")})
		bb = append(bb, copies('d', archive, "d")...)
		bb = append(bb, message{'d', append([]byte("p"), 0, 0, 0, 0, 0, 0, 16, 0)}, message{'d', []byte("m")})
		bb = append(bb, copies('d', manifest, "d")...)
		bb = append(bb, message{'c', nil})
	} else {
		bb = append(bb, message{'H', []byte{0, 0, 0}})
		bb = append(bb, copies('d', archive, "")...)
		bb = append(bb, message{'c', nil})
		bb = append(bb, message{'H', []byte{0, 0, 0}})
		bb = append(bb, copies('d', manifest, "")...)
		bb = append(bb, message{'c', nil})
	}
	bb = append(bb, rows([]string{"recptr", "tli"}, []string{"0/2000130", "1"})...)
	bb = append(bb, tagged("BASE_BACKUP"), ready())
	wal := binary.BigEndian.AppendUint64([]byte("w"), 0x2000000)
	wal = binary.BigEndian.AppendUint64(wal, 0x2000200)
	wal = binary.BigEndian.AppendUint64(wal, 0)
	wal = append(wal, bytes.Repeat([]byte{7}, 0x200)...)
	return answers{
		"start-up": {{'R', make([]byte, 4)}, {'S', []byte("server_version\x00" + version + "\x00")}, {'S', []byte("integer_datetimes\x00on\x00")},
			{'K', []byte{0, 0, 0, 7, 0, 0, 0, 8}}, ready()},
		"IDENTIFY_SYSTEM":          append(rows([]string{"systemid", "timeline", "xlogpos", "dbname"}, []string{"7000000000000000001", "1", "0/2000000", "NULL"}), ready()),
		"SHOW wal_segment_size":    show("wal_segment_size", "16MB"),
		"SHOW data_directory_mode": show("data_directory_mode", "0700"),
		"SHOW polar":               {failure("42704", "unrecognized configuration parameter"), ready()},
		"CREATE_REPLICATION_SLOT":  append(rows([]string{"slot_name", "consistent_point", "snapshot_name", "output_plugin"}, []string{"s", "0/0", "NULL", "NULL"}), ready()),
		"BASE_BACKUP":              bb,
		"START_REPLICATION":        {{'W', []byte{0, 0, 0}}, {'d', wal}},
		"CopyDone":                 {{'c', nil}, tagged("START_STREAMING"), ready()},
	}
}

// copies cuts bytes into messages as a server does.
func copies(typ byte, b []byte, prefix string) (ms []message) {
	for len(b) > 0 {
		n := min(len(b), 8192)
		ms = append(ms, message{typ, append([]byte(prefix), b[:n]...)})
		b = b[n:]
	}
	return ms
}

// smallBackup is the archive of a data directory and its manifest.
func smallBackup(at time.Time) (archive, manifest []byte) {
	var a, m bytes.Buffer
	w := tar.NewWriter(&a)
	m.WriteString("{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [")
	sep := "\n"
	file := func(name string, content []byte) {
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o600, ModTime: at, Format: tar.FormatUSTAR})
		_, _ = w.Write(content)
		sum := binary.LittleEndian.AppendUint32(nil, crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
		fmt.Fprintf(&m, "%s{ \"Path\": \"%s\", \"Size\": %d, \"Last-Modified\": \"%s\", \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"%x\" }",
			sep, name, len(content), at.UTC().Format("2006-01-02 15:04:05")+" GMT", sum)
		sep = ",\n"
	}
	dir := func(name string) {
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o700, ModTime: at, Format: tar.FormatUSTAR})
	}
	file("backup_label", []byte("START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n"))
	dir("base")
	dir("base/1")
	file("base/1/1259", bytes.Repeat([]byte("row "), 5000))
	file("base/1/empty", nil)
	dir("pg_wal")
	dir("pg_tblspc")
	file("PG_VERSION", []byte("15\n"))
	file("global/pg_control", bytes.Repeat([]byte{1}, 8192))
	_ = w.Flush()
	a.Write(make([]byte, 1024))
	m.WriteString("\n],\n\"WAL-Ranges\": [\n{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000130\" }\n],\n")
	sum := sha256.Sum256(m.Bytes())
	fmt.Fprintf(&m, "\"Manifest-Checksum\": \"%x\"}\n", sum)
	return a.Bytes(), m.Bytes()
}
