package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/jackc/pgx/v5/pgconn"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/stages/storage"
)

// Kind is what a target becomes.
type Kind string

const (
	None    Kind = "none"    // as it was copied
	Replica Kind = "replica" // PolarDB: shares the primary's storage
	Standby Kind = "standby" // follows the primary, with storage of its own
	Primary Kind = "primary" // independent of the source
)

// follows reports whether a node of the kind streams from the source.
func (k Kind) follows() bool { return k == Replica || k == Standby }

// Setting is one parameter of a server's configuration.
type Setting struct{ Name, Value string }

// Settings is what a node is configured with.
type Settings struct {
	Kind Kind
	// WriteRecoveryConf is pg_basebackup's --write-recovery-conf. A node that follows the source gets the same and more, whether it is set or not.
	WriteRecoveryConf bool
	// ConnInfo returns the connection string that a node of a server version follows the source with. It may hold a password and never
	// enters the event log.
	ConnInfo func(serverVersion int) string
	// Slot is the slot that the node uses on the source; "" for none.
	Slot string

	// HostID is polar_hostid; 0 leaves it as it is.
	HostID int
	// Cluster is polar_storage_cluster_name; "" leaves it as it is.
	Cluster string
	// Set are further parameters, which win over all others.
	Set []Setting

	// Start starts the node and waits until it streams, or for a primary until it has recovered.
	Start bool
	// SQL opens an ordinary connection to the source; with it the source is asked whether the node streams. nil: the node's log tells.
	SQL func(ctx context.Context) (*pgconn.PgConn, error)
	// OnDiff, when set, gets what was changed in a configuration file, as a unified diff without passwords.
	OnDiff func(diff string)
}

// value returns what Set says of a parameter.
func (s *Settings) value(name string) (string, bool) {
	for i := len(s.Set) - 1; i >= 0; i-- {
		if equalName(s.Set[i].Name, name) {
			return s.Set[i].Value, true
		}
	}
	return "", false
}

// Check refuses settings that do not fit the source or this host, before anything is written.
func (s *Settings) Check(p *messages.Prepared) error {
	shared := p.Polar != nil && p.Polar.SharedStorage
	switch {
	case s.Kind == Replica && p.Polar == nil:
		return fmt.Errorf("a replica shares its primary's storage, which PostgreSQL %s cannot: use --node=standby", p.VersionString)
	case s.Kind == Replica && !shared:
		return errors.New("a replica shares its primary's storage, but the server is not in shared-storage mode (polar_enable_shared_storage_mode is off): use --node=standby")
	case s.Kind == Primary && s.WriteRecoveryConf:
		return errors.New("--write-recovery-conf and --node=primary are incompatible options: a primary follows nobody")
	case s.Kind == Replica && p.InRecovery:
		return errors.New("a replica is made from its primary, and the server is in recovery: connect to the primary")
	}
	if s.Kind == Replica {
		if err := s.checkHostID(p.Polar); err != nil {
			return err
		}
		if _, set := s.value("polar_datadir"); !set && pfs.IsRelative(p.Polar.DataDir) {
			return fmt.Errorf("the server's polar_datadir \"%s\" is relative to its data directory, which this role may not see: add --set polar_datadir=… with an absolute path, or connect as a member of pg_read_all_settings",
				p.Polar.DataDir)
		}
	}
	if s.Start {
		return s.checkStart(p)
	}
	return nil
}

// checkHostID wants an id that the primary does not have; whether another replica has it only its own start shows.
func (s *Settings) checkHostID(p *messages.Polar) error {
	id, ok := s.value("polar_hostid")
	if !ok && s.HostID > 0 {
		id, ok = fmt.Sprint(s.HostID), true
	}
	switch {
	case !ok:
		return fmt.Errorf("a replica needs a polar_hostid of its own, the server has %d: add --polar_host_id", p.HostID)
	case id == fmt.Sprint(p.HostID):
		return fmt.Errorf("polar_hostid %s is the server's own: give the replica another one with --polar_host_id", id)
	}
	return nil
}

// plainName is what can stand in a connection string and in a list of names without quotes.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_]{1,63}$`)

// name is how the node is known on the source, in pg_stat_replication and in synchronous_standby_names.
func (s *Settings) name(dir string) string {
	if n, ok := s.value("cluster_name"); ok && plainName.MatchString(n) {
		return n
	}
	switch base := filepath.Base(dir); {
	case s.Slot != "":
		return s.Slot
	case s.HostID > 0:
		return fmt.Sprintf("%s%d", s.Kind, s.HostID)
	case plainName.MatchString(base):
		return base
	}
	return "polarcast"
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
	files := []storage.Injected{{Name: name, Append: appended, Content: postgres.RecoveryConfig(version, conninfo, s.Slot)}}
	if signal != "" {
		files = append(files, storage.Injected{Name: signal})
	}
	return files
}

// sharedPlace is where a node's shared tree is; the zero value for a server with one tree, and for a replica, which uses the source's.
type sharedPlace struct {
	fs  pfs.FS
	dir string
}
