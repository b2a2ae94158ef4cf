package stages

import "polarcast/pipeline"

// Surveyed reports whether reading may begin: in a delta backup each target has to say first what it holds, since a chunk is only sparable when
// all of them hold it.
func Surveyed(st pipeline.State) bool {
	if !st.Requested.Delta {
		return true
	}
	for _, name := range LiveTargets(st) {
		if st.Targets[name].Surveyed == nil {
			return false
		}
	}
	return true
}

// Offers returns the targets of a delta backup that have said what they hold, each with the position of the index from which its offers count; nil
// for other backups.
func Offers(st pipeline.State) map[string]uint64 {
	if !st.Requested.Delta {
		return nil
	}
	o := map[string]uint64{}
	for _, name := range LiveTargets(st) {
		if s := st.Targets[name].Surveyed; s != nil {
			o[name] = s.IndexFrom
		}
	}
	return o
}
