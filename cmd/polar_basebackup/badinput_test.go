package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"polarcast/internal/dropin"
	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/storage"
	"polarcast/stages/target"
	"polarcast/testenv"
)

// silent is a user who only reads errors.
type silent struct {
	mu     sync.Mutex
	failed []error
}

func (*silent) ServerVersion(int)                {}
func (*silent) ServerWarning(string)             {}
func (*silent) WaitingForCheckpoint()            {}
func (*silent) Verbose(string, ...any)           {}
func (*silent) Info(string, ...any)              {}
func (*silent) Progress(pipeline.Progress, bool) {}
func (s *silent) Failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = append(s.failed, err)
}

// backupOf runs a backup of a fake server in this process. It fails the test when that does not end.
func backupOf(t testing.TB, f *fake, dir string, change func(*dropin.Options)) error {
	t.Helper()
	return backupUntil(t, context.Background(), f, dir, change)
}

// backupUntil is backupOf that its user ends when ctx does.
func backupUntil(t testing.TB, ctx context.Context, f *fake, dir string, change func(*dropin.Options)) error {
	t.Helper()
	cfg, err := postgres.ParseConfig(postgres.ConnOptions{ConnString: "host=127.0.0.1 user=me sslmode=disable connect_timeout=30", Port: f.port(),
		Replication: true, AppName: "test"})
	if err != nil {
		t.Fatal(err)
	}
	o := dropin.Options{
		Request: messages.Requested{Label: "x", Source: "stream", WALMethod: "stream", Codec: "lz4",
			Options: messages.BackupOptions{Checkpoint: "fast", Manifest: "yes", ManifestChecksums: "CRC32C", VerifyChecksums: true}},
		Fingerprint: "x",
		Connect:     func(ctx context.Context) (*postgres.Conn, error) { return postgres.Connect(ctx, cfg) },
		Target:      target.Config{Format: target.Plain, Dir: dir},
		Sync:        storage.SyncNone,
		NoResume:    true,
		UI:          &silent{},
		Stdout:      io.Discard,
	}
	if change != nil {
		change(&o)
	}
	done := make(chan error, 1)
	go func() { done <- dropin.Run(ctx, o) }()
	select {
	case err := <-done:
		return err
	case <-time.After(2 * time.Minute):
		panic("the backup hangs") // with all goroutines
	}
}

var asTar = func(o *dropin.Options) {
	o.Target.Format, o.Tar, o.Request.Options.Tar = target.Tar, &storage.TarOptions{}, true
}

// The fake server is good enough to be copied: otherwise the tests below would prove nothing.
func TestFakeServer(t *testing.T) {
	testenv.NoGoroutineLeaks(t)
	for _, version := range []string{"14.8", "15.8", "18.1"} {
		for name, change := range map[string]func(*dropin.Options){"plain": nil, "tar": asTar} {
			f := startFake(t, goodServer(version))
			dir := filepath.Join(t.TempDir(), "copy")
			if err := backupOf(t, f, dir, change); err != nil {
				t.Fatalf("%s %s: %v", version, name, err)
			}
			f.close()
			if change != nil {
				continue
			}
			if b, err := os.ReadFile(filepath.Join(dir, "base", "1", "1259")); err != nil || !bytes.Equal(b, bytes.Repeat([]byte("row "), 5000)) {
				t.Errorf("%s: the file was not copied: %v", version, err)
			}
			if b, err := os.ReadFile(filepath.Join(dir, "pg_wal", "000000010000000000000002")); err != nil || len(b) != 16<<20 || b[0x1ff] != 7 || b[0x200] != 0 {
				t.Errorf("%s: WAL was not copied: %d bytes, %v", version, len(b), err)
			}
		}
	}
}

// Answers that a server must not give, one by one.
func TestBadAnswers(t *testing.T) {
	testenv.NoGoroutineLeaks(t)
	badFile := func(name string) func(answers) {
		return func(a answers) {
			for _, m := range a["BASE_BACKUP"] {
				if at := bytes.Index(m.body, []byte("base/1/1259\x00")); m.typ == 'd' && at >= 0 {
					renamed(m.body[at:], name)
				}
			}
		}
	}
	for _, c := range []struct {
		name string
		bad  func(a answers)
		want string // in the error
	}{
		{"no version", func(a answers) { a["start-up"] = []message{{'R', make([]byte, 4)}, ready()} }, "integer_datetimes"},
		{"version 9", func(a answers) { a["start-up"][1].body = []byte("server_version\x009.6.24\x00") }, "incompatible server version 9.6.24"},
		{"a path out of the directory", badFile("../../etc/x"), "does not stay inside"},
		{"an absolute path", badFile("/etc/passwd"), "does not stay inside"},
		{"not in the manifest", badFile("base/1/2"), "manifest"},
		{"segment size", func(a answers) {
			a["SHOW wal_segment_size"] = append(rows([]string{"x"}, []string{"many"}), ready())
		}, "wal_segment_size"},
		{"segment size 0", func(a answers) {
			a["SHOW wal_segment_size"] = append(rows([]string{"x"}, []string{"0"}), ready())
		}, "WAL segment size must be a power of two"},
		{"segment size 3MB", func(a answers) {
			a["SHOW wal_segment_size"] = append(rows([]string{"x"}, []string{"3MB"}), ready())
		}, "WAL segment size must be a power of two"},
		{"segment size 1TB", func(a answers) {
			a["SHOW wal_segment_size"] = append(rows([]string{"x"}, []string{"1TB"}), ready())
		}, "WAL segment size must be a power of two"},
		{"mode", func(a answers) {
			a["SHOW data_directory_mode"] = append(rows([]string{"x"}, []string{"rwx"}), ready())
		}, "data_directory_mode"},
		{"no system", func(a answers) { a["IDENTIFY_SYSTEM"] = []message{tagged("X"), ready()} }, "system"},
		{"refused", func(a answers) { a["BASE_BACKUP"] = []message{failure("42501", "permission denied"), ready()} }, "permission denied"},
		{"refused in the middle", func(a answers) {
			a["BASE_BACKUP"] = append(a["BASE_BACKUP"][:12:12], failure("XX000", "could not read file"), ready())
		}, "could not read file"},
		{"cut short", func(a answers) {
			b := a["BASE_BACKUP"]
			a["BASE_BACKUP"] = append(b[:10:10], b[len(b)-5:]...)
		}, ""},
		{"no WAL after all", func(a answers) {
			a["START_REPLICATION"] = []message{failure("58P01", "requested WAL segment has already been removed"), ready()}
		}, "no longer has the WAL"},
		{"WAL with a gap", func(a answers) { a["START_REPLICATION"][1].body[7] = 1 }, "expected"},
		{"no slot", func(a answers) {
			a["CREATE_REPLICATION_SLOT"] = []message{failure("53400", "all replication slots are in use"), ready()}
		}, "all replication slots are in use"},
		{"tablespaces in each other", func(a answers) {
			a["BASE_BACKUP"] = append(append(rows([]string{"recptr", "tli"}, []string{"0/2000028", "1"}),
				rows([]string{"spcoid", "spclocation", "size"}, []string{"16384", "../../x", "1"}, []string{"NULL", "NULL", "1"})...), a["BASE_BACKUP"][7:]...)
		}, ""},
		{"unknown archive", func(a answers) {
			for i, m := range a["BASE_BACKUP"] {
				if m.typ == 'd' && m.body[0] == 'n' {
					a["BASE_BACKUP"][i].body = []byte("n../../x.tar\x00\x00")
				}
			}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for kind, change := range map[string]func(*dropin.Options){"plain": nil, "tar": asTar} {
				a := goodServer("15.8")
				c.bad(a)
				f := startFake(t, a)
				parent := t.TempDir()
				dir := filepath.Join(parent, "copy")
				err := backupOf(t, f, dir, change)
				f.close()
				switch {
				case err == nil:
					t.Errorf("%s: no error", kind)
				case !strings.Contains(err.Error(), c.want):
					t.Errorf("%s: the error is %q, want %q in it", kind, err, c.want)
				case strings.Contains(err.Error(), "\n") && !strings.Contains(err.Error(), "\tThis probably means"):
					t.Errorf("%s: the error has several lines: %q", kind, err)
				}
				if left, _ := os.ReadDir(parent); len(left) > 0 {
					t.Errorf("%s: left behind: %v", kind, left)
				}
			}
		})
	}
}

// renamed gives the member of an archive whose header begins with b another name.
func renamed(b []byte, name string) {
	copy(b, append([]byte(name), make([]byte, 100-len(name))...))
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
}

// Answers with damage at random places: an error or, when the damage does not matter, a copy; never a crash, a hang, or something left behind.
func TestDamagedAnswers(t *testing.T) {
	testenv.NoGoroutineLeaks(t)
	rounds := 30
	if soak() {
		rounds = 1500
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	failed := 0
	for i := range rounds {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		a := goodServer([]string{"15.8", "14.8", "18.1"}[i%3])
		keys := []string{"BASE_BACKUP", "START_REPLICATION", "BASE_BACKUP", "IDENTIFY_SYSTEM", "start-up", "CREATE_REPLICATION_SLOT", "SHOW wal_segment_size", "CopyDone"}
		key := keys[random.IntN(len(keys))]
		f := startFake(t, a)
		f.damage = func(command string, answer []byte) []byte {
			if command != key {
				return answer
			}
			return damaged(rand.New(rand.NewPCG(seed, uint64(i)+1<<32)), answer)
		}
		change := asTar
		if random.IntN(2) == 0 {
			change = nil
		}
		dir := filepath.Join(t.TempDir(), "copy")
		// A server that falls silent is waited for, as the original waits, and one that cannot be reached is tried again: a user would end that.
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		err := backupUntil(t, ctx, f, dir, change)
		cancel()
		f.close()
		if err == nil {
			continue
		}
		failed++
		if _, e := os.Stat(dir); !errors.Is(e, os.ErrNotExist) && !errors.Is(err, dropin.ErrChecksums) {
			t.Errorf("round %d (%s): the directory was left behind after %v", i, key, err)
		}
	}
	if failed < rounds/4 {
		t.Errorf("only %d of %d damaged answers were noticed: does the damage reach the backup?", failed, rounds)
	}
}

// damaged changes an answer at one to three places.
func damaged(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(3) {
		if len(b) < 8 {
			return b
		}
		at := r.IntN(len(b))
		if r.IntN(2) == 0 { // the headers are few among the bytes: go to one
			starts := []int{0}
			for p := 0; p+5 <= len(b); {
				n := int(uint32(b[p+1])<<24|uint32(b[p+2])<<16|uint32(b[p+3])<<8|uint32(b[p+4])) + 1
				if n < 5 || p+n >= len(b) {
					break
				}
				p += n
				starts = append(starts, p)
			}
			at = min(starts[r.IntN(len(starts))]+r.IntN(7), len(b)-1)
		}
		switch r.IntN(5) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = byte(r.IntN(256))
		case 2:
			b = b[:at]
		case 3:
			n := min(r.IntN(40), len(b)-at)
			b = append(b[:at:at], b[at+n:]...)
		case 4:
			n := min(r.IntN(40), len(b)-at)
			b = append(b[:at:at], append(bytes.Clone(b[at:at+n]), b[at:]...)...)
		}
	}
	return b
}
