package stages

import (
	"io/fs"
	"slices"

	"polarcast/messages"
	"polarcast/pipeline"
)

// FileModes returns the modes of files and directories that a target creates: those of the source, which lets its group read or not
// (data_directory_mode, src/include/common/file_perm.h).
func FileModes(st pipeline.State) (file, dir fs.FileMode) {
	if st.Prepared != nil && st.Prepared.DataDirMode&0o050 == 0o050 {
		return 0o640, 0o750
	}
	return 0o600, 0o700
}

// SharedStorage reports whether the source keeps its data on PolarDB's shared storage, so that a backup of it has two trees.
func SharedStorage(st pipeline.State) bool {
	return st.Prepared != nil && st.Prepared.Polar != nil && st.Prepared.Polar.SharedStorage
}

// Missing returns what the auditors of the targets found lost, with the session that was the last one then.
func Missing(st pipeline.State) []messages.ChunksMissing {
	var all []messages.ChunksMissing
	for _, t := range st.Targets {
		all = append(all, t.Missing...)
	}
	return all
}

// Stopped returns the session that was read and closed, nil while there is none.
func Stopped(st pipeline.State) *pipeline.SessionState {
	if s := st.Session(); s != nil && s.ReadDone != nil && s.Stopped != nil {
		return s
	}
	return nil
}

// Stitchable reports whether what is known of the start point of a session is enough for another session to go on from there.
func Stitchable(a messages.SessionStarted) bool {
	return a.Redo != 0 && a.CheckpointLSN != 0 && a.NextXID != 0 && a.Redo == a.StartLSN
}

// Stitched returns the session whose start point the last session has, which is itself when it goes on with none; nil when there is none.
func Stitched(st pipeline.State) *pipeline.SessionState {
	cur := st.Session()
	if cur == nil || cur.Started.StitchedTo == 0 {
		return cur
	}
	for i := range st.Sessions {
		if st.Sessions[i].Started.Session == cur.Started.StitchedTo {
			return &st.Sessions[i]
		}
	}
	return nil
}

// Captured reports whether all WAL that the backup needs is in the pipeline.
func Captured(st pipeline.State) bool {
	s := Stopped(st)
	return s != nil && st.WALCaptured != nil && st.WALCaptured.EndLSN >= s.Stopped.EndLSN
}

// ServedTargets returns the names of the targets that still take chunks: those that are served and not proven complete.
func ServedTargets(st pipeline.State) []string {
	return slices.DeleteFunc(LiveTargets(st), func(n string) bool { return st.Targets[n].Written != nil })
}

// LiveTargets returns the names of the targets that are still served.
func LiveTargets(st pipeline.State) []string {
	var names []string
	for n, t := range st.Targets {
		if t.Dropped == nil && t.Failed == nil {
			names = append(names, n)
		}
	}
	return names
}
