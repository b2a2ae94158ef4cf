package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/target"
)

// apply writes the configuration of the node. Done again it changes nothing.
func (s Settings) apply(st pipeline.State, l *target.Layout) error {
	version := st.Prepared.ServerVersion
	if s.Kind == None || s.Kind == "" {
		return s.writeRecovery(version, l)
	}
	e := &editor{dir: l.Dir(), mode: l.Config().FileMode, onDiff: s.OnDiff}
	if err := e.drop(notCloned(s.Kind, version)); err != nil {
		return err
	}
	conf, recovery := s.parameters(st, l)
	if err := e.configure(conf, clearedOf(s.Kind)); err != nil {
		return err
	}
	if err := e.recovery(s.Kind, version, recovery); err != nil {
		return err
	}
	return e.refreshManifest(st)
}

// writeRecovery is pg_basebackup's --write-recovery-conf.
func (s Settings) writeRecovery(version int, l *target.Layout) error {
	mode := l.Config().FileMode
	for _, f := range s.RecoveryFiles(version) {
		name := filepath.Join(l.Dir(), f.Name)
		write := writeFile
		if f.Append {
			write = appendOnce
		}
		if err := write(name, f.Content, mode); err != nil {
			return err
		}
	}
	return nil
}

// editor changes files of a data directory and remembers which.
type editor struct {
	dir     string
	mode    os.FileMode
	onDiff  func(string)
	touched []string // below dir
}

func (e *editor) path(name string) string { return filepath.Join(e.dir, name) }

// drop removes files that must not be there.
func (e *editor) drop(names []string) error {
	for _, n := range names {
		err := os.Remove(e.path(n))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("could not remove file \"%s\": %w", e.path(n), err)
		}
		if err == nil {
			e.touched = append(e.touched, n)
		}
	}
	if len(e.touched) == 0 {
		return nil
	}
	return pfs.Local().SyncDir(e.dir)
}

// read returns a file, empty when it is not there.
func (e *editor) read(name string) ([]byte, bool, error) {
	b, err := os.ReadFile(e.path(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, false, fmt.Errorf("could not read file \"%s\": %w", e.path(name), err)
	}
	return b, err == nil, nil
}

// replace gives a file new contents when they differ, and shows how.
func (e *editor) replace(name string, old, text []byte) error {
	e.touched = append(e.touched, name)
	diff := postgres.UnifiedDiff(e.path(name)+" (source)", e.path(name), old, text)
	if diff == "" {
		return nil
	}
	if err := writeFile(e.path(name), string(text), e.mode); err != nil {
		return err
	}
	if e.onDiff != nil {
		e.onDiff(withoutPasswords(diff))
	}
	return nil
}

// password matches the password of a connection string inside of a configuration file, where its quotes and backslashes are doubled: password=”it\\”s”.
var password = regexp.MustCompile(`(\bpassword\s*=\s*)(''(?:\\\\''|\\\\\\\\|[^'])*''|[^\s']+)`)

func withoutPasswords(text string) string { return password.ReplaceAllString(text, "${1}…") }

// configure edits postgresql.conf in place. What ALTER SYSTEM has set of the same parameters would win and is removed. Where the server keeps its
// configuration outside of the data directory there is no postgresql.conf, and postgresql.auto.conf, which every server reads, gets it all.
func (e *editor) configure(settings []Setting, cleared []string) error {
	text, there, err := e.read(postgres.ConfFileName)
	if err != nil {
		return err
	}
	autoText, autoThere, err := e.read(postgres.AutoConfFile)
	if err != nil {
		return err
	}
	conf, auto := postgres.ParseConf(text), postgres.ParseConf(autoText)
	main := conf
	if !there {
		main = auto
	}
	for _, name := range cleared {
		v, set := conf.Get(name)
		w, autoSet := auto.Get(name)
		if set && v != "" || autoSet && w != "" || len(conf.Includes()) > 0 {
			settings = append([]Setting{{name, ""}}, settings...)
		}
	}
	for _, s := range settings {
		if there {
			auto.Remove(s.Name)
		}
		if err := main.Set(s.Name, s.Value); err != nil {
			return fmt.Errorf("could not change \"%s\": %w", e.path(postgres.ConfFileName), err)
		}
	}
	if there {
		if err := e.replace(postgres.ConfFileName, text, conf.Bytes()); err != nil {
			return err
		}
	}
	if !autoThere && there {
		return nil
	}
	return e.replace(postgres.AutoConfFile, autoText, auto.Bytes())
}

// recovery makes the files that say what the node is when it starts.
func (e *editor) recovery(k Kind, version int, params []Setting) error {
	if !postgres.HasStandbySignal(version) {
		if !k.follows() {
			return nil
		}
		old, _, err := e.read(postgres.RecoveryConfFile)
		if err != nil {
			return err
		}
		return e.replace(postgres.RecoveryConfFile, old, recoveryConf(params))
	}
	name := signalFile(k)
	if name == "" {
		return nil
	}
	e.touched = append(e.touched, name)
	if _, err := os.Stat(e.path(name)); err == nil {
		return nil
	}
	return writeFile(e.path(name), "", e.mode)
}

// recoveryConf is a recovery.conf.
func recoveryConf(params []Setting) []byte {
	var b strings.Builder
	for _, p := range params {
		b.WriteString(p.Name + " = '" + strings.NewReplacer("'", "''", `\`, `\\`).Replace(p.Value) + "'\n")
	}
	return []byte(b.String())
}

func equalName(a, b string) bool { return strings.EqualFold(a, b) }

// appendOnce adds content to the end of a file unless it ends with it already: the step may be done again after a kill.
func appendOnce(name, content string, mode os.FileMode) error {
	have, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("could not read file \"%s\": %w", name, err)
	}
	if n := len(have) - len(content); n >= 0 && string(have[n:]) == content {
		return nil
	}
	return writeFile(name, string(have)+content, mode)
}

// writeFile replaces a file durably.
func writeFile(name, content string, mode os.FileMode) error {
	tmp := name + ".polarcast"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("could not create file \"%s\": %w", tmp, err)
	}
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err == nil {
		err = pfs.Local().SyncDir(filepath.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("could not write file \"%s\": %w", name, err)
	}
	return nil
}
