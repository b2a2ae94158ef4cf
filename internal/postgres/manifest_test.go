package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func testManifest(t testing.TB, o ManifestOptions, files []ManifestFile, ranges []ManifestWALRange) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewManifestWriter(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := w.AddFile(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(ranges); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readManifest feeds data in pieces of at most n bytes.
func readManifest(data []byte, n int) (files []ManifestFile, info *ManifestInfo, err error) {
	r := NewManifestReader(func(f *ManifestFile) error { files = append(files, *f); return nil })
	for len(data) > 0 {
		k := min(n, len(data))
		if _, err := r.Write(data[:k]); err != nil {
			return files, nil, err
		}
		data = data[k:]
	}
	info, err = r.Close()
	return files, info, err
}

func oddFiles() []ManifestFile {
	at := time.Date(2026, 11, 22, 18, 0, 1, 0, time.UTC)
	var files []ManifestFile
	for i, path := range []string{"PG_VERSION", "base/1/1259", `quote"back\slash`, "line\nend\ttab\b\f\r\x01", "ünïcödé/😀", "not\xffutf8\xc3", "pg_tblspc/16384/PG_15_202209061/5/16385.1"} {
		a := ChecksumAlgorithm(i % 6)
		var sum []byte
		if h := a.New(); h != nil {
			h.Write([]byte(path))
			sum = h.Sum(nil)
		}
		files = append(files, ManifestFile{path, int64(len(path)), at.Add(time.Duration(i) * time.Hour), a, sum})
	}
	return files
}

func TestManifestRoundTrip(t *testing.T) {
	files := oddFiles()
	ranges := []ManifestWALRange{{2, 0x3000000, 0x4000100}, {1, 0x2000028, 0x3000000}}
	for _, o := range []ManifestOptions{{Version: 1}, {Version: 2, SystemID: 18446744073709551615}, {Version: 2, SystemID: 1, ForceEncode: true}} {
		data := testManifest(t, o, files, ranges)
		if o.ForceEncode == bytes.Contains(data, []byte(`"Path"`)) {
			t.Errorf("%+v: wrong kind of paths in\n%s", o, data)
		}
		for _, n := range []int{1, 2, 3, 7, 100, len(data)} {
			got, info, err := readManifest(data, n)
			if err != nil {
				t.Fatalf("%+v in pieces of %d: %v", o, n, err)
			}
			if !reflect.DeepEqual(got, files) {
				t.Fatalf("%+v: got %+v", o, got)
			}
			if info.Version != o.Version || info.SystemID != o.SystemID || info.Files != int64(len(files)) || !reflect.DeepEqual(info.WALRanges, ranges) {
				t.Errorf("%+v: %+v", o, info)
			}
		}
	}
	empty := testManifest(t, ManifestOptions{Version: 1}, nil, nil)
	if got, _, err := readManifest(empty, 5); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// The bytes that backup_manifest.c of version 18 writes.
func TestManifestText(t *testing.T) {
	at := time.Date(2026, 11, 22, 18, 0, 1, 999, time.FixedZone("x", 3600))
	got := string(testManifest(t, ManifestOptions{Version: 2, SystemID: 7711072918722099870}, []ManifestFile{
		{"a\"b", 3, at, ChecksumCRC32C, ManifestCRC32C(0x01020304)}, {"c", 0, at, ChecksumNone, nil}}, []ManifestWALRange{{1, 0x2000028, 0x2000100}}))
	want := `{ "PostgreSQL-Backup-Manifest-Version": 2,
"System-Identifier": 7711072918722099870,
"Files": [
{ "Path": "a\"b", "Size": 3, "Last-Modified": "2026-11-22 17:00:01 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "04030201" },
{ "Path": "c", "Size": 0, "Last-Modified": "2026-11-22 17:00:01 GMT" }
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }
],
"Manifest-Checksum": "`
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\"}\n") || len(got) != len(want)+64+3 {
		t.Errorf("got\n%s", got)
	}
}

func TestManifestRefuses(t *testing.T) {
	good := string(testManifest(t, ManifestOptions{Version: 2, SystemID: 5}, oddFiles(), []ManifestWALRange{{1, 1, 2}}))
	body, _, _ := strings.Cut(good, `"Manifest-Checksum"`)
	edit := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("nothing to replace: %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for text, want := range map[string]error{
		"":                               ErrManifest,
		good[:len(good)-1]:               ErrManifest, // no line end
		good[:len(good)/2]:               ErrManifest,
		good + "\n":                      ErrManifest,
		good + "{}":                      ErrManifest,
		edit(`"Size": 10`, `"Size": 11`): ErrManifestChecksum,
		strings.Replace(good, body, body[:len(body)-1]+" \n", 1):                              ErrManifestChecksum,
		edit(`Version": 2`, `Version": 3`):                                                    ErrManifestVersion,
		edit(`Version": 2`, `Version": 0`):                                                    ErrManifest,
		edit(`"Size": 10`, `"Size": -1`):                                                      ErrManifest,
		edit(`"Size": 10`, `"Size": 1e9`):                                                     ErrManifest,
		edit(`"Size": 10`, `"Size": "10"`):                                                    ErrManifest,
		edit(`"Size": 10, `, ``):                                                              ErrManifest,
		edit(`"Size": 10`, `"Size": 10, "Size": 10`):                                          ErrManifest,
		edit(`"Path": "PG_VERSION", `, ``):                                                    ErrManifest,
		edit(`"Path": "PG_VERSION"`, `"Path": ""`):                                            ErrManifest,
		edit(`"Path": "PG_VERSION"`, `"Path": "\u0000"`):                                      ErrManifest,
		edit(`"Path": "PG_VERSION"`, `"Path": "\ud800x"`):                                     ErrManifest,
		edit(`"Path": "PG_VERSION"`, `"Path": "\udc00"`):                                      ErrManifest,
		edit(`"Path": "PG_VERSION"`, `"Encoded-Path": "xyz"`):                                 ErrManifest,
		edit(`"Path": "PG_VERSION"`, `"Path": "`+strings.Repeat("x", maxManifestToken+1)+`"`): ErrManifest,
		edit(`"Checksum": "`, `"Checksum": "00`):                                              ErrManifest,
		edit(`"CRC32C"`, `"MD5"`):                                                             ErrManifest,
		edit(`"Files"`, `"Folders"`):                                                          ErrManifest,
		edit("\"System-Identifier\": 5,\n", ""):                                               ErrManifest,
		edit(`"Timeline": 1, `, ``):                                                           ErrManifest,
		edit("\n],\n\"WAL", "\n\"WAL"):                                                        ErrManifest,
		edit(`{ "Post`, `[ "Post`):                                                            ErrManifest,
		`{ "Files": [`:                                                                        ErrManifest,
		`[[[[[[[[`:                                                                            ErrManifest,
		"{ \"PostgreSQL-Backup-Manifest-Version\": 1, \"Files\": [" + strings.Repeat(" ", 5*maxManifestToken): ErrManifest,
	} {
		for _, n := range []int{1, 1 << 20} {
			if _, _, err := readManifest([]byte(text), n); !errors.Is(err, want) {
				t.Errorf("pieces of %d: got %v, want %v for %.200q", n, err, want, text)
			}
		}
	}
	stop := errors.New("stop")
	r := NewManifestReader(func(*ManifestFile) error { return stop })
	if _, err := r.Write([]byte(good)); !errors.Is(err, stop) {
		t.Error(err)
	}
	if _, err := r.Write([]byte("x")); !errors.Is(err, stop) {
		t.Error(err)
	}
	if _, err := r.Close(); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// Memory must not grow with the manifest: 200,000 entries pass through, and what the reader keeps stays small.
func TestManifestReaderKeepsNothing(t *testing.T) {
	var n int64
	r := NewManifestReader(func(f *ManifestFile) error { n++; return nil })
	w, err := NewManifestWriter(r, ManifestOptions{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200000 {
		if err := w.AddFile(ManifestFile{Path: fmt.Sprintf("base/1/%d", i), LastModified: time.Unix(0, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(nil); err != nil {
		t.Fatal(err)
	}
	info, err := r.Close()
	if err != nil || n != 200000 || info.Files != n {
		t.Fatal(n, err)
	}
	if held := cap(r.line) + cap(r.lexer.buf); held > 8*maxManifestToken {
		t.Errorf("the reader holds %d bytes", held)
	}
}

// What a real server wrote: read, compare with the files, and write the same bytes again.
func TestManifestOfARealServer(t *testing.T) {
	c := initCluster(t)
	c.start()
	for i, alg := range []string{"crc32c", "none", "sha224", "sha256", "sha384", "sha512"} {
		target := filepath.Join(c.share(c.socket+"/b"), alg)
		args := []string{"-D", c.share(target), "-h", c.socket, "-p", c.port, "-U", "postgres", "-c", "fast", "-X", "none", "--manifest-checksums", alg}
		if i%2 == 1 {
			args = append(args, "--manifest-force-encode")
		}
		c.run(filepath.Join(postgresBin(t), "pg_basebackup"), args...)
		data, err := os.ReadFile(filepath.Join(target, ManifestFileName))
		if err != nil {
			t.Fatal(err)
		}
		files, info, err := readManifest(data, 1+rand.IntN(5000))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if len(files) < 500 || len(info.WALRanges) != 1 {
			t.Fatalf("%s: %d files, %+v", alg, len(files), info)
		}
		for _, f := range files {
			content, err := os.ReadFile(filepath.Join(target, f.Path))
			if err != nil || int64(len(content)) != f.Size {
				t.Fatalf("%s: %q: %d bytes, manifest says %d: %v", alg, f.Path, len(content), f.Size, err)
			}
			if h := f.Algorithm.New(); h != nil {
				h.Write(content)
				if !bytes.Equal(h.Sum(nil), f.Checksum) {
					t.Fatalf("%s: %q: checksum %x, manifest says %x", alg, f.Path, h.Sum(nil), f.Checksum)
				}
			} else if alg != "none" {
				t.Fatalf("%s: %q has no checksum", alg, f.Path)
			}
		}
		again := testManifest(t, ManifestOptions{Version: info.Version, ForceEncode: i%2 == 1}, files, info.WALRanges)
		if !bytes.Equal(again, data) {
			t.Errorf("%s: written again it differs:\n%s", alg, UnifiedDiff("server", "ours", data, again))
		}
	}
}

// pg_verifybackup accepts what the writer wrote, with names that need escapes.
func TestManifestAsPgVerifybackupReadsIt(t *testing.T) {
	verify := filepath.Join(postgresBin(t), "pg_verifybackup")
	for _, o := range []ManifestOptions{{Version: 1}, {Version: 1, ForceEncode: true}} {
		dir := t.TempDir()
		files := oddFiles()
		for i, f := range files {
			path := filepath.Join(dir, f.Path)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(f.Path), 0o600); err != nil {
				t.Fatal(err)
			}
			files[i].LastModified = time.Now()
		}
		data := testManifest(t, o, files, []ManifestWALRange{{1, 0x2000028, 0x2000100}})
		if err := os.WriteFile(filepath.Join(dir, ManifestFileName), data, 0o600); err != nil {
			t.Fatal(err)
		}
		c := &cluster{t: t, socket: dir}
		cmd := c.command(verify, "-n", "-e", dir)
		cmd.SysProcAttr = nil // the files are ours, and this program runs as root
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "successfully verified") {
			t.Errorf("%+v: %v\n%s\n%s", o, err, out, data)
		}
	}
}

func FuzzManifest(f *testing.F) {
	for _, o := range []ManifestOptions{{Version: 1}, {Version: 2, SystemID: 7, ForceEncode: true}} {
		f.Add(testManifest(f, o, oddFiles(), []ManifestWALRange{{1, 1, 2}}), 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		if n < 1 {
			n = 1
		}
		files, info, err := readManifest(data, n)
		whole, info2, err2 := readManifest(data, max(1, len(data)))
		if (err == nil) != (err2 == nil) || !reflect.DeepEqual(info, info2) {
			t.Fatalf("in pieces: %+v, %v; at once: %+v, %v", info, err, info2, err2)
		}
		if err == nil && !reflect.DeepEqual(files, whole) {
			t.Fatal("pieces give other files")
		}
	})
}
