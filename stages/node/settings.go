package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"polarcast/internal/postgres"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages/storage"
	"polarcast/stages/target"
)

// Kind is what a target becomes.
type Kind string

const (
	None    Kind = "none"    // as it was copied
	Replica Kind = "replica" // PolarDB: shares the primary's storage
	Standby Kind = "standby" // follows the primary, with storage of its own
	Primary Kind = "primary" // independent of the source
)

// Settings is what a node is configured with.
type Settings struct {
	Kind Kind
	// WriteRecoveryConf is pg_basebackup's --write-recovery-conf.
	WriteRecoveryConf bool
	// ConnInfo returns the connection string that a node of a server version follows the source with. It may hold a password and never
	// enters the event log.
	ConnInfo func(serverVersion int) string
	// Slot is the slot that the node uses on the source; "" for none.
	Slot string
}

// apply writes the recovery settings.
func (s Settings) apply(_ context.Context, st pipeline.State, l *target.Layout) error {
	if !s.WriteRecoveryConf {
		return nil
	}
	mode := l.Config().FileMode
	for _, f := range s.RecoveryFiles(st.Prepared.ServerVersion) {
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

// RecoveryFiles returns the files that --write-recovery-conf adds to the data directory of a server version.
func (s Settings) RecoveryFiles(version int) []storage.Injected {
	if !s.WriteRecoveryConf {
		return nil
	}
	name, appended, signal := postgres.RecoveryConfigFile(version)
	conninfo := ""
	if s.ConnInfo != nil {
		conninfo = s.ConnInfo(version)
	}
	files := []storage.Injected{{Name: name, Append: appended, Content: postgres.RecoveryText(version, conninfo, s.Slot)}}
	if signal != "" {
		files = append(files, storage.Injected{Name: signal})
	}
	return files
}

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
