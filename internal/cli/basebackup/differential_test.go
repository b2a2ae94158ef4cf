package basebackup

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// original is pg_basebackup 15 as Debian installs it.
const original = "/usr/lib/postgresql/15/bin/pg_basebackup"

// badLines are command lines that the original judges without a server, with
// arguments separated by "|". Left out are those that later versions judge
// otherwise than 15 (-Z 0, -Z ”, -k), and ambiguous abbreviations whose list has grown.
var badLines = []string{
	"", "-v", "-D", "-D|x|y", "-D|x|y|z", "y|-D|x", "-D|x|--|-v", "-D|x|-", "-D|x|-q", "-D|x|-vq", "-D|x|-vPq",
	"-D|x|--foo", "-D|x|--foo=3", "-D|x|--verbos=3", "--gzip=3", "--gz=3", "-D|x|--format", "-D|x|--form", "-Dx|-F",
	"-D|x|--manifest", "-D|x|--manifest=3", "--w", "--c", "--h|x", "-D|x|--wal", "-D|x|--wa|f",
	"-D|x|-v|--help", "-D|x|--version", "-D|x|-?", "-D|x|-V", "-v?", "-D|x|--hel", "--hel", "--vers",
	// values
	"-D|x|-F|q", "-D|x|--format=", "-D|x|-Fplainx", "-D|x|-X|q", "-D|x|-X|", "-D|x|-Xstreams", "-D|x|-c|q", "-D|x|-cFAST|y", "-c|",
	"-D|x|-r|q", "-D|x|-r|", "-D|x|-r|0", "-D|x|-r|-1", "-D|x|-r|31", "-D|x|-r|31.99", "-D|x|-r|1048577", "-D|x|-r|1025M", "-D|x|-r|10MB",
	"-D|x|-r|10 q", "-D|x|-r|10kk", "-D|x|-r|1e5", "-D|x|-r|1e400", "-D|x|-r|1e-400", "-D|x|-r|1e10", "-D|x|-r|1e30", "-D|x|-r|nan", "-D|x|-r|inf",
	"-D|x|-r|0x40", "-D|x|-r|0x", "-D|x|-r| 32 k ", "-D|x|-r|.", "-D|x|-r|+50", "-D|x|-r|5e", "-D|x|-r|K", "-D|x|-r|40K", "-D|x|-r|infinity", "-D|x|-r|0x1p10M",
	"-D|x|-s|q", "-D|x|-s|-1", "-D|x|-s|2147484", "-D|x|-s|2147483", "-D|x|-s|10 ", "-D|x|-s| 10", "-D|x|-s|10x", "-D|x|-s|", "-D|x|-s|99999999999999999999",
	"-D|x|-T|a", "-D|x|-T|/a", "-D|x|-T|/a=", "-D|x|-T|=/b", "-D|x|-T|/a=/b=/c", "-D|x|-T|a=/b", "-D|x|-T|/a=b", "-D|x|-T|/a\\=/b", "-D|x|-T|/a\\=c=/b",
	"-D|x|-T|/a==/b", "-D|x|-T|", "-D|x|-T|/a=/b|-T|/c=/d", "-D|x|-T|/a=/b|-T|c", "-D|x|-T|/a=/b\\=c", "-D|x|-T|" + "/" + strings.Repeat("a", 1100) + "=/b",
	"-D|x|-T|/a=/" + strings.Repeat("b", 1100), "-D|x|-T|\\a=/b", "-D|x|-T|c:\\a=/b",
	// compression
	"-D|x|-z", "-D|x|-Z|gzip", "-D|x|-Z|lz4:3", "-D|x|-Ft|-Z|lz4:13", "-D|x|-Ft|-Z|gzip:0", "-D|x|-Ft|-Z|gzip:10", "-D|x|-Ft|-Z|10", "-D|x|-Ft|-Z|-2",
	"-D|x|-Ft|-Z|zstd:23", "-D|x|-Ft|-Z|zstd:-131073", "-D|x|-Ft|-Z|zstd:-5", "-D|x|-Ft|-Z|zstd:level=23", "-D|x|-Ft|-Z|zstd:level", "-D|x|-Ft|-Z|zstd:level=",
	"-D|x|-Ft|-Z|zstd:level=a", "-D|x|-Ft|-Z|zstd:level=3a", "-D|x|-Ft|-Z|zstd:workers", "-D|x|-Ft|-Z|zstd:workers=x", "-D|x|-Ft|-Z|gzip:workers=3",
	"-D|x|-Ft|-Z|lz4:workers=3", "-D|x|-Ft|-Z|none:level=3", "-D|x|-Ft|-Z|none:3", "-D|x|-Ft|-Z|none", "-D|x|-Ft|-Z|zstd:foo", "-D|x|-Ft|-Z|zstd:foo=3",
	"-D|x|-Ft|-Z|zstd:", "-D|x|-Ft|-Z|zstd:level=3,", "-D|x|-Ft|-Z|zstd:,level=3", "-D|x|-Ft|-Z|zstd:level=3,workers=2", "-D|x|-Ft|-Z|zstd:level=3=4",
	"-D|x|-Ft|-Z|foo", "-D|x|-Ft|-Z|foo:3", "-D|x|-Ft|-Z|client-foo", "-D|x|-Z|server-foo", "-D|x|-Ft|-Z|server-gzip:99", "-D|x|-Z|client-lz4",
	"-D|x|-Ft|-Z|5", "-D|x|-Z|5", "-D|x|-Ft|-Z| 5", "-D|x|-Ft|-Z|gzip: 5", "-D|x|-Ft|-Z|gzip:5 ", "-D|x|-Ft|-Z|GZIP", "-D|x|-Ft|-Z|:5", "-D|x|-z|-Z|none",
	"-D|x|-Ft|-Z|zstd:99999999999", "-D|x|-Ft|-Z|gzip:4294967297", "-D|x|-Ft|-Z|gzip:level=99,foo",
	// combinations
	"-t|blackhole", "-t|blackhole|-D|x|-X|none", "-t|server:/x|-Fp|-X|none", "-t|client", "-t|client|-D|x", "-t|client|-Fp|-D|x", "-t|blackhole|-X|fetch",
	"-t|blackhole|-X|none|-Z|client-gzip", "-t|blackhole|-X|none|-z", "-t|blackhole|-X|none|--waldir=/y", "-t|blackhole|-Xs", "-t|blackhole|-Ft|-D|x",
	"-D|-|-Ft", "-D|-|-Ft|-X|fetch", "-D|-|-Ft|-X|none|-z", "-D|x|-S|a|-X|fetch", "-D|x|-S|a|-X|none", "-D|x|-S|a|--no-slot", "-D|x|-C", "-D|x|-C|--no-slot", "-D|x|-C|-S|a|--no-slot",
	"-D|x|-C|-S|a|-Xn", "-D|x|--waldir=y", "-D|x|--waldir=/y|-Ft", "-D|x|--waldir=", "-D|x|-P|--no-estimate-size", "-D|x|--no-manifest|--manifest-checksums=crc32c",
	"-D|x|--no-manifest|--manifest-force-encode", "-D|x|--no-manifest|--manifest-checksums=|--manifest-force-encode", "-D|x|--no-manifest",
	"-D|x|-Fp|-Xs|-PRv|-c|fast|-r|1M|-s|5|-l|label|-n|-N|-C|-S|a|--no-verify-checksums", "-Dx|-Ft|-z|-Xf|-U|u|-p|1|-w", "-D|x|-vvv|--prog|--lab=x|--no-cl|--no-sy",
	"-D|x|--target=client|--tabl=/a=/b|--writ|--stat=3", "-D|x|--sl=q|--create", "-D|x|--po=3|--dbn=x|--us=y|--ho=/q",
	"-Ft|-t|client|-X|q|-r|q", "-r|q|-X|q", "-D|x|-z|-S|a|-Xn|--no-manifest|--manifest-force-encode",
}

// TestLikeTheOriginal gives the same command lines to the installed
// pg_basebackup, and wants the same words and exit status.
func TestLikeTheOriginal(t *testing.T) {
	if _, err := os.Stat(original); err != nil {
		t.Skipf("no original to compare with: %v", err)
	}
	dir := t.TempDir()
	for _, line := range badLines {
		var args []string
		if line != "" {
			args = strings.Split(line, "|")
		}
		cmd := exec.Command(original, args...)
		cmd.Dir = dir
		cmd.Env = []string{"LC_ALL=C", "PGHOST=" + dir + "/no-socket-here", "PGCONNECT_TIMEOUT=2", "HOME=" + dir}
		var theirs bytes.Buffer
		cmd.Stderr = &theirs
		cmd.Run()
		want := theirs.String()
		if strings.Contains(want, "connection to server") || strings.Contains(want, "missing \"=\" after") {
			want = "" // it was satisfied with the command line
		}

		var out, errs bytes.Buffer
		_, err, done := Start(append([]string{original}, args...), &out, &errs)
		if got := errs.String(); got != want {
			t.Errorf("%q:\n  ours:   %s  theirs: %s", args, got, want)
		}
		if want != "" && (!done || err == nil || cmd.ProcessState.ExitCode() != 1) {
			t.Errorf("%q: error %v, their exit status %d", args, err, cmd.ProcessState.ExitCode())
		}
		if out.Len() > 0 {
			t.Errorf("%q: wrote to standard output: %s", args, out.String())
		}
	}
}

// TestHelpHasTheOriginalsLines: every line about an option in the original's
// help stands in ours.
func TestHelpHasTheOriginalsLines(t *testing.T) {
	if _, err := os.Stat(original); err != nil {
		t.Skipf("no original to compare with: %v", err)
	}
	theirs, err := exec.Command(original, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	ours := HelpText("pg_basebackup")
	for line := range strings.SplitSeq(string(theirs), "\n") {
		if !strings.HasPrefix(line, "  ") || strings.Contains(line, "spread checkpointing") {
			continue // that one has got "(default)" in 18
		}
		if !strings.Contains(ours, line+"\n") {
			t.Errorf("help lacks the original's line %q", line)
		}
	}
}

// TestColorsLikeTheOriginal compares the bytes of coloured messages.
func TestColorsLikeTheOriginal(t *testing.T) {
	if _, err := os.Stat(original); err != nil {
		t.Skipf("no original to compare with: %v", err)
	}
	t.Setenv("LC_ALL", "C")
	t.Setenv("PG_COLORS", "") // restored at the end
	for _, env := range [][2]string{{"always", ""}, {"auto", ""}, {"always", "error=4:note=5:locus=7"}, {"always", "warning=3"}, {"never", ""}} {
		t.Setenv("PG_COLOR", env[0])
		os.Unsetenv("PG_COLORS")
		if env[1] != "" {
			t.Setenv("PG_COLORS", env[1])
		}
		for _, args := range [][]string{{}, {"-q"}, {"-D", "x", "-r", "q"}} {
			cmd := exec.Command(original, args...)
			var theirs, out, ours bytes.Buffer
			cmd.Stderr = &theirs
			cmd.Run()
			Start(append([]string{original}, args...), &out, &ours)
			if ours.String() != theirs.String() {
				t.Errorf("%v %q:\n  ours   %q\n  theirs %q", env, args, ours.String(), theirs.String())
			}
		}
	}
}
