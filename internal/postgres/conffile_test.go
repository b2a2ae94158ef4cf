package postgres

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfSet(t *testing.T) {
	cases := []struct{ what, in, name, value, want string }{
		{"value and comment keep their place", "a = 1\nport = 5432\t\t# (change requires restart)\nb = 2\n", "port", "5433",
			"a = 1\nport = 5433\t\t# (change requires restart)\nb = 2\n"},
		{"names ignore case", "Port=5432\n", "port", "5433", "Port=5433\n"},
		{"quotes are kept", "listen_addresses = '*' # all\n", "listen_addresses", "localhost", "listen_addresses = 'localhost' # all\n"},
		{"quotes are added when needed", "listen_addresses = localhost\n", "listen_addresses", "a, b", "listen_addresses = 'a, b'\n"},
		{"no equals sign", "port 5432\n", "port", "5433", "port 5433\n"},
		{"the last one counts, others become comments", "polar_datadir = '/a/'\nx = 1\npolar_datadir = '/b/'\n", "polar_datadir", "/c/",
			"#polar_datadir = '/a/'\nx = 1\npolar_datadir = '/c/'\n"},
		{"below its commented default", "#port = 5432\t# (x)\nmax = 1\n", "port", "5433", "#port = 5432\t# (x)\nport = 5433\nmax = 1\n"},
		{"prose is not a default", "# port must be free\nmax = 1\n", "port", "5433", "# port must be free\nmax = 1\nport = 5433\n"},
		{"after an include that could override it", "port = 1\ninclude_dir 'conf.d'\n", "port", "2", "#port = 1\ninclude_dir 'conf.d'\nport = 2\n"},
		{"an include before it does not matter", "include_dir 'conf.d'\nport = 1\n", "port", "2", "include_dir 'conf.d'\nport = 2\n"},
		{"last line without line end", "a = 1", "port", "2", "a = 1\nport = 2\n"},
		{"DOS line ends", "a = 1\r\nport = 1\r\n", "b", "x y", "a = 1\r\nport = 1\r\nb = 'x y'\r\n"},
		{"empty file", "", "port", "1", "port = 1\n"},
		{"quotes and backslashes", "", "search_path", `it's \ "x"`, "search_path = 'it''s \\\\ \"x\"'\n"},
		{"value against the name", "a'x'\n", "a", "y", "a 'y'\n"},
		{"same value changes nothing", "a = 'on'   # c\n", "a", "on", "a = 'on'   # c\n"},
		{"empty value", "a = 'x'\n", "a", "", "a = ''\n"},
	}
	for _, c := range cases {
		f := ParseConf([]byte(c.in))
		if err := f.Set(c.name, c.value); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if got := string(f.Bytes()); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.what, got, c.want)
		}
		if got, ok := f.Get(c.name); !ok || got != c.value {
			t.Errorf("%s: Get gives %q, %v", c.what, got, ok)
		}
	}
}

func TestConfRefusesWhatNoFileCanHold(t *testing.T) {
	f := ParseConf(nil)
	for _, name := range []string{"", "1a", "a b", "include", "a..b", "a=b", "x\n"} {
		if err := f.Set(name, "1"); !errors.Is(err, ErrConfName) {
			t.Errorf("Set(%q) = %v, want ErrConfName", name, err)
		}
	}
	if err := f.Set("a", "x\x00y"); err == nil {
		t.Error("a zero byte was accepted")
	}
	if got := f.Bytes(); len(got) != 0 {
		t.Errorf("the file was changed: %q", got)
	}
}

func TestConfUnsetRemoveAndLists(t *testing.T) {
	text := "a = 1\n  A = 2 # c\ninclude 'x.conf'\ninclude_if_exists = 'y.conf'\nbroken line here\nb.c = 3\n"
	f := ParseConf([]byte(text))
	if got := f.Includes(); len(got) != 2 || got[0] != (ConfInclude{3, "include", "x.conf"}) || got[1].Target != "y.conf" {
		t.Errorf("includes: %+v", got)
	}
	if got := f.Settings(); len(got) != 3 || got[1] != (ConfSetting{2, "a", "2"}) || got[2].Name != "b.c" {
		t.Errorf("settings: %+v", got)
	}
	if n := f.Unset("a"); n != 2 || !strings.HasPrefix(string(f.Bytes()), "#a = 1\n#  A = 2 # c\n") {
		t.Errorf("Unset gave %d and %q", n, f.Bytes())
	}
	if n := f.Remove("B.c"); n != 1 || strings.Contains(string(f.Bytes()), "b.c") {
		t.Errorf("Remove gave %d and %q", n, f.Bytes())
	}
}

// The server itself must read back what Set wrote.
func TestConfValuesAsTheServerReadsThem(t *testing.T) {
	postgres := filepath.Join(postgresBin(t), "postgres")
	c := initCluster(t)
	for _, value := range []string{"plain", "two words", `it's`, `back\slash`, "tab\there", "line\nend", `\n is not a line end`, "#hash", "ünï", `'`, `\'`, ""} {
		f := ParseConf(c.read("postgresql.conf"))
		if err := f.Set("Archive_Cleanup_Command", value); err != nil {
			t.Fatal(err)
		}
		c.write("postgresql.conf", f.Bytes())
		out, err := c.command(postgres, "-D", c.dir, "-C", "archive_cleanup_command").Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("value %q: %v: %s", value, err, exit.Stderr)
		}
		if got := strings.TrimSuffix(string(out), "\n"); got != value {
			t.Errorf("the server reads %q as %q", value, got)
		}
	}
}

func TestRecoveryConfig(t *testing.T) {
	conninfo := `user=rep password='p\'a\\s s' port=5432`
	written := `user=rep password=''p\\''a\\\\s s'' port=5432`
	for _, c := range []struct {
		version    int
		slot, want string
	}{
		{110009, "s1", "standby_mode = 'on'\nprimary_conninfo = '" + written + "'\nprimary_slot_name = 's1'\n"},
		{150008, "", "primary_conninfo = '" + written + "'\n"},
		{180004, "s1", "primary_conninfo = '" + written + "'\nprimary_slot_name = 's1'\n"},
	} {
		if got := RecoveryConfig(c.version, conninfo, c.slot); got != c.want {
			t.Errorf("version %d:\n got %s\nwant %s", c.version, got, c.want)
		}
	}
	if name, appended, signal := RecoveryConfigFile(110009); name != "recovery.conf" || appended || signal != "" {
		t.Error(name, appended, signal)
	}
	if name, appended, signal := RecoveryConfigFile(120000); name != "postgresql.auto.conf" || !appended || signal != "standby.signal" {
		t.Error(name, appended, signal)
	}
}

// pg_basebackup -R of version 15 must write the very same lines.
func TestRecoveryConfigLikePgBasebackup(t *testing.T) {
	c := initCluster(t)
	c.start("wal_level=replica", "max_wal_senders=4")
	target := filepath.Join(t.TempDir(), "backup")
	conn := "host=" + c.socket + " user=postgres port=" + c.port + " password='a b''s\\\\c' application_name=x-y"
	conn = strings.ReplaceAll(conn, "b''s", `b\'s`)
	c.run(filepath.Join(postgresBin(t), "pg_basebackup"), "-D", c.share(target), "-R", "-X", "none", "--no-manifest", "-c", "fast", "-d", conn)
	data, err := os.ReadFile(filepath.Join(target, AutoConfFile))
	if err != nil {
		t.Fatal(err)
	}
	got, ok := ParseConf(data).Get("primary_conninfo")
	if !ok {
		t.Fatalf("no primary_conninfo in %s", data)
	}
	if want := RecoveryConfig(150008, got, ""); !strings.HasSuffix(string(data), want) {
		t.Errorf("we write\n%s\npg_basebackup wrote\n%s", want, data)
	}
	if !strings.Contains(string(data), `password=''a b\\''s\\\\c''`) {
		t.Errorf("the password was not there to compare: %s", data)
	}
}

func TestUnifiedDiffLikeDiff(t *testing.T) {
	var long strings.Builder
	for i := range 40 {
		long.WriteString("line " + strings.Repeat("x", i) + "\n")
	}
	text := long.String()
	cases := [][2]string{
		{"a\nb\nc\n", "a\nB\nc\n"}, {"", "a\n"}, {"a\n", ""}, {"a", "a\n"}, {"a\nb", "a\nc"},
		{text, strings.Replace(strings.Replace(text, "xxxxx\n", "five\n", 1), strings.Repeat("x", 33)+"\n", "33\nmore\n", 1)},
		{text, "first\n" + text + "last\n"},
	}
	dir := t.TempDir()
	for _, c := range cases {
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		os.WriteFile(a, []byte(c[0]), 0o600)
		os.WriteFile(b, []byte(c[1]), 0o600)
		out, _ := exec.Command("diff", "-u", "--label", "old", "--label", "new", a, b).Output()
		if got := UnifiedDiff("old", "new", []byte(c[0]), []byte(c[1])); got != string(out) {
			t.Errorf("got\n%s\ndiff says\n%s", got, out)
		}
	}
	if UnifiedDiff("a", "b", []byte("x"), []byte("x")) != "" {
		t.Error("a diff of equal texts is not empty")
	}
}

func FuzzConf(f *testing.F) {
	f.Add("a = 1\n#b = 2\ninclude 'x'\na='it''s \\n'\r\n", "b", "v w")
	f.Add("port 5432 # x", "port", "\n")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		c := ParseConf([]byte(text))
		if string(c.Bytes()) != text {
			t.Fatal("parsing changed the file")
		}
		if c.Set(name, value) != nil {
			return
		}
		again := ParseConf(c.Bytes())
		if got, ok := again.Get(name); !ok || got != value {
			t.Fatalf("set %q, got %q, %v in %q", value, got, ok, c.Bytes())
		}
		for _, in := range again.Includes() {
			for _, s := range again.Settings() {
				if strings.EqualFold(s.Name, name) && s.Line < in.Line {
					t.Fatalf("an include can override line %d in %q", s.Line, c.Bytes())
				}
			}
		}
	})
}
