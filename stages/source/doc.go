// Package source reads the files of a running server in three ways behind one interface:
//
//	path  the data directory is mounted here
//	pfs   PolarDB's shared tree through a read-only mount of the PFS core, the local tree by path
//	sql   pg_ls_dir, pg_stat_file and pg_read_binary_file over one or several connections
//
// A reader knows nothing of backup mode, pages or messages: it lists what a base backup has to hold and reads ranges of it. Files of a running
// server vanish, shrink and grow at any moment. A reader says so (fs.ErrNotExist, io.EOF) and leaves it to its caller what that means.
package source
