package node

import (
	"fmt"
	"slices"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pfs"
	"polarcast/pipeline"
	"polarcast/stages"
	"polarcast/stages/target"
)

// notCloned are files of the source's data directory that a node of the kind must not have.
func notCloned(k Kind, version int) []string {
	names := []string{
		"postmaster.pid", "postmaster.opts", "current_logfiles",
		"polar_node_static.conf", // PolarDB 11 pins polar_hostid, polar_disk_name and polar_datadir in it
		"polar_replica_booted",   // PolarDB 15: says that the local tree was filled from the shared one
		"polar_shmem_stat_file",
		postgres.RecoverySignalFile, "recovery.done",
	}
	for _, f := range []string{postgres.StandbySignalFile, postgres.ReplicaSignalFile} {
		if f != signalFile(k) || !postgres.HasStandbySignal(version) {
			names = append(names, f)
		}
	}
	if postgres.HasStandbySignal(version) || !k.follows() {
		names = append(names, postgres.RecoveryConfFile) // a server since 12 does not start with it
	}
	if k == Replica {
		// Recovery of a replica begins where the primary's last checkpoint is, not where a backup began.
		names = append(names, "backup_label", "tablespace_map")
	}
	slices.Sort(names)
	return names
}

// signalFile is the file that makes a server since 12 what it is; "" for a primary.
func signalFile(k Kind) string {
	switch k {
	case Replica:
		return postgres.ReplicaSignalFile
	case Standby:
		return postgres.StandbySignalFile
	}
	return ""
}

// clearedOf are parameters that belong to the source alone: a node that waits for the source's synchronous standbys commits nothing after it was
// promoted.
func clearedOf(Kind) []string { return []string{"synchronous_standby_names"} }

// recoveryOnly are the parameters that stand in recovery.conf up to 11, and nowhere else (recovery.conf.sample; polar_ ones are PolarDB's).
var recoveryOnly = []string{
	"archive_cleanup_command", "recovery_end_command", "restore_command", "recovery_target", "recovery_target_action", "recovery_target_inclusive",
	"recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_timeline", "recovery_target_xid",
	"recovery_min_apply_delay", "primary_conninfo", "primary_slot_name", "standby_mode", "trigger_file", "polar_replica", "polar_datamax_mode",
}

// parameters returns what the node's configuration must say, for postgresql.conf and, up to 11, for recovery.conf.
func (s *Settings) parameters(st pipeline.State, l *target.Layout) (conf, recovery []Setting) {
	version := st.Prepared.ServerVersion
	if stages.SharedStorage(st) {
		conf = s.polar(st.Prepared, l)
	}
	if s.Kind.follows() {
		conf = append(conf, Setting{"cluster_name", s.name(l.Dir())})
		conf = append(conf, s.following(version, l)...)
	}
	for _, p := range s.Set {
		conf = slices.DeleteFunc(conf, func(c Setting) bool { return equalName(c.Name, p.Name) })
		conf = append(conf, p)
	}
	if postgres.HasStandbySignal(version) {
		return conf, nil
	}
	main := conf[:0:0]
	for _, p := range conf {
		if slices.ContainsFunc(recoveryOnly, func(n string) bool { return equalName(n, p.Name) }) {
			recovery = append(recovery, p)
		} else {
			main = append(main, p)
		}
	}
	return main, recovery
}

// following is how a node finds the source.
func (s *Settings) following(version int, l *target.Layout) []Setting {
	var out []Setting
	if !postgres.HasStandbySignal(version) {
		mode := "standby_mode"
		if s.Kind == Replica {
			mode = "polar_replica"
		}
		out = append(out, Setting{mode, "on"})
	}
	if s.ConnInfo != nil {
		c := s.ConnInfo(version)
		if !strings.Contains(c, "application_name=") {
			c = strings.TrimSpace(c + " application_name=" + s.name(l.Dir()))
		}
		out = append(out, Setting{"primary_conninfo", c})
	}
	if s.Slot != "" {
		out = append(out, Setting{"primary_slot_name", s.Slot})
	}
	return append(out, Setting{"recovery_target_timeline", "latest"})
}

// polar is what distinguishes nodes of PolarDB.
func (s *Settings) polar(p *messages.Prepared, l *target.Layout) []Setting {
	var out []Setting
	if s.HostID > 0 {
		out = append(out, Setting{"polar_hostid", fmt.Sprint(s.HostID)})
	}
	if s.Kind == Replica {
		if p.Polar.DataDir != "" && !onPFS(p.Polar.DataDir) {
			out = append(out, Setting{"polar_datadir", p.Polar.DataDir}) // the primary's own may be relative to its local directory
		}
		return out
	}
	f, dir := l.Shared()
	if dir == "" {
		return out
	}
	place := sharedPlace{f, dir}
	if disk := f.Info().Disk; disk != "" {
		out = append(out, Setting{"polar_disk_name", disk})
	}
	out = append(out, Setting{"polar_datadir", place.datadir(p.Polar.DataDir)})
	if s.Cluster != "" {
		out = append(out, Setting{"polar_storage_cluster_name", s.Cluster})
	}
	if from := onPFS(p.Polar.DataDir); from != place.pfs() {
		// Names as polardb.conf.sample and polar_vfs have them.
		out = append(out, Setting{"polar_vfs.localfs_mode", onOff(from)})
		if p.ServerVersion < 120000 {
			out = append(out, Setting{"polar_enable_localfs_test_mode", onOff(from)})
		}
	}
	return out
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (p sharedPlace) pfs() bool { return p.fs.Info().Kind == pfs.KindPFS }

// onPFS tells from a server's polar_datadir whether its shared tree is on PFS.
func onPFS(datadir string) bool {
	_, scheme := pfs.StripScheme(datadir)
	return scheme == "" || scheme == "pfsd"
}

// datadir is the value of polar_datadir for the place, written as the source writes its own.
func (p sharedPlace) datadir(source string) string {
	_, scheme := pfs.StripScheme(source)
	switch {
	case p.pfs() && scheme == "pfsd":
		return "pfsd://" + p.dir + "/"
	case p.pfs():
		return p.dir + "/"
	case scheme == "file":
		return "file://" + p.dir
	}
	return "file-dio://" + p.dir
}
