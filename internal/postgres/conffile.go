package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// ConfFile is a postgresql.conf-style file (postgresql.conf, postgresql.auto.conf, recovery.conf) that is edited in place: comments, order,
// indentation and line ends stay as they were. A line that the server's parser would not understand is kept untouched.
type ConfFile struct {
	lines []confLine
}

// ConfSetting is one active assignment. Line counts from 1.
type ConfSetting struct {
	Line        int
	Name, Value string
}

// ConfInclude is one include, include_if_exists or include_dir directive. The files it names are not read here: whoever edits must know that
// they may assign the same setting.
type ConfInclude struct {
	Line         int
	Kind, Target string
}

// confLine is one line without its line end. For an assignment the value stands in text[valueStart:valueEnd], quotes included.
type confLine struct {
	text, end            string
	name, value          string // name in lower case, empty when the line assigns nothing
	valueStart, valueEnd int
}

// ErrConfName is wrapped by errors about names that no configuration file can hold.
var ErrConfName = errors.New("invalid setting name")

// ParseConf splits data into lines. It never fails.
func ParseConf(data []byte) *ConfFile {
	f := &ConfFile{}
	for rest := string(data); rest != ""; {
		line, end := rest, ""
		if i := strings.IndexByte(rest, '\n'); i >= 0 {
			line, end = rest[:i], "\n"
			rest = rest[i+1:]
		} else {
			rest = ""
		}
		if end != "" && strings.HasSuffix(line, "\r") {
			line, end = line[:len(line)-1], "\r\n"
		}
		f.lines = append(f.lines, scanConfLine(line, end))
	}
	return f
}

// Bytes is the whole file.
func (f *ConfFile) Bytes() []byte {
	var b bytes.Buffer
	for _, l := range f.lines {
		b.WriteString(l.text)
		b.WriteString(l.end)
	}
	return b.Bytes()
}

// Settings lists the active assignments in the order of the file, directives left out.
func (f *ConfFile) Settings() []ConfSetting {
	var out []ConfSetting
	for i, l := range f.lines {
		if l.name != "" && !isInclude(l.name) {
			out = append(out, ConfSetting{Line: i + 1, Name: l.name, Value: l.value})
		}
	}
	return out
}

// Includes lists the include directives in the order of the file.
func (f *ConfFile) Includes() []ConfInclude {
	var out []ConfInclude
	for i, l := range f.lines {
		if isInclude(l.name) {
			out = append(out, ConfInclude{Line: i + 1, Kind: l.name, Target: l.value})
		}
	}
	return out
}

// Get is the value that the server would take from this file alone: the last active assignment wins.
func (f *ConfFile) Get(name string) (value string, ok bool) {
	if i := f.last(name); i >= 0 {
		return f.lines[i].value, true
	}
	return "", false
}

// Set makes value the one that the server takes from this file. The last active assignment is changed where it stands; earlier ones, which had no
// effect, are commented out, so that nobody brings another node's value back by commenting out one line. A setting that is only there as a
// comment ("#port = 5432") gets its line below that comment. When an include directive follows, which could override the line, the
// assignment goes to the end of the file instead. An error wraps ErrConfName or says that the value cannot be written.
func (f *ConfFile) Set(name, value string) error {
	if !validConfName(name) || isInclude(strings.ToLower(name)) {
		return fmt.Errorf("%w: %q", ErrConfName, name)
	}
	if strings.IndexByte(value, 0) >= 0 {
		return fmt.Errorf("the value of setting %q contains a zero byte, which no configuration file can hold", name)
	}
	last, barrier := f.last(name), f.lastInclude()
	if last > barrier {
		for i := 0; i < last; i++ {
			if f.assigns(i, name) {
				f.comment(i)
			}
		}
		f.lines[last].replaceValue(value)
		return nil
	}
	f.Unset(name)
	at := len(f.lines)
	if i := f.lastMention(name); i > barrier {
		at = i + 1
	}
	f.insert(at, name+" = "+QuoteConfValue(value))
	return nil
}

// Unset comments every active assignment of name out and says how many there were.
func (f *ConfFile) Unset(name string) int {
	n := 0
	for i := range f.lines {
		if f.assigns(i, name) {
			f.comment(i)
			n++
		}
	}
	return n
}

// Remove deletes every active assignment of name and says how many there were: for postgresql.auto.conf, which ALTER SYSTEM owns and where it
// leaves no comments behind.
func (f *ConfFile) Remove(name string) int {
	kept := f.lines[:0]
	n := 0
	for _, l := range f.lines {
		if l.name != "" && strings.EqualFold(l.name, name) {
			n++
			continue
		}
		kept = append(kept, l)
	}
	f.lines = kept
	return n
}

func (f *ConfFile) assigns(i int, name string) bool {
	return f.lines[i].name != "" && strings.EqualFold(f.lines[i].name, name)
}

func (f *ConfFile) last(name string) int {
	for i := len(f.lines) - 1; i >= 0; i-- {
		if f.assigns(i, name) {
			return i
		}
	}
	return -1
}

func (f *ConfFile) lastInclude() int {
	for i := len(f.lines) - 1; i >= 0; i-- {
		if isInclude(f.lines[i].name) {
			return i
		}
	}
	return -1
}

// lastMention finds the last line that assigns name inside a comment.
func (f *ConfFile) lastMention(name string) int {
	for i := len(f.lines) - 1; i >= 0; i-- {
		text := strings.TrimLeft(f.lines[i].text, " \t")
		if !strings.HasPrefix(text, "#") {
			continue
		}
		l := scanConfLine(strings.TrimLeft(text, "#"), "")
		// Prose such as "# port must be free" is no assignment: it has no equals sign.
		if strings.EqualFold(l.name, name) && strings.Contains(l.text[:l.valueStart], "=") {
			return i
		}
	}
	return -1
}

func (f *ConfFile) comment(i int) {
	f.lines[i] = scanConfLine("#"+f.lines[i].text, f.lines[i].end)
}

func (f *ConfFile) insert(at int, text string) {
	end := "\n"
	if at > 0 {
		if prev := &f.lines[at-1]; prev.end == "" {
			prev.end = "\n"
		} else {
			end = prev.end
		}
	}
	f.lines = append(f.lines, confLine{})
	copy(f.lines[at+1:], f.lines[at:])
	f.lines[at] = scanConfLine(text, end)
}

// replaceValue keeps what stands around the value, and quotes that were there.
func (l *confLine) replaceValue(value string) {
	if l.value == value {
		return
	}
	quoted := QuoteConfValue(value)
	if l.text[l.valueStart] == '\'' && quoted[0] != '\'' {
		quoted = "'" + quoted + "'"
	}
	before, after := l.text[:l.valueStart], l.text[l.valueEnd:]
	if c := before[len(before)-1]; c != '=' && c != ' ' && c != '\t' { // name'value' is valid, a bare value would join the name
		before += " "
	}
	*l = scanConfLine(before+quoted+after, l.end)
}

func isInclude(name string) bool {
	return name == "include" || name == "include_if_exists" || name == "include_dir"
}
