package messages

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Golden files are the format as released: a change that breaks one breaks backups that are under way. They are written again only with
// -update, for a new kind, a new version or a new field of an event.
var update = flag.Bool("update", false, "write the golden files and the fuzzing corpus again")

// golden compares bytes with testdata/golden/name and returns what the file holds. Names that end in .hex are hexadecimal, 16 bytes a line.
func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		text := got
		if strings.HasSuffix(name, ".hex") {
			text = toHex(got)
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := readGolden(t, name)
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the format has changed\n got %x\nwant %x", name, got, want)
	}
	return want
}

func readGolden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(name, ".hex") {
		return b
	}
	out, err := hex.DecodeString(strings.Join(strings.Fields(string(b)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func toHex(b []byte) []byte {
	var out bytes.Buffer
	for len(b) > 0 {
		n := min(len(b), 16)
		out.WriteString(hex.EncodeToString(b[:n]))
		out.WriteByte('\n')
		b = b[n:]
	}
	return out.Bytes()
}
