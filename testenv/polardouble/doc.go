// Package polardouble is a PolarDB on the wire, for tests on machines that have none: it stands before a real PostgreSQL 11 or 15 server and
// gives replication connections the shapes that were seen on PolarDB of the same major.
//
//   - SHOW polar_datadir, polar_enable_shared_storage_mode, polar_hostid, polar_version, polar_disk_name and
//     polar_storage_cluster_name are answered; server_version is PolarDB's.
//   - BASE_BACKUP is run on the real server, and what it sends is sorted into a local and a shared archive: a header of four columns, the
//     local directory's row and then the shared one's; on 15 one COPY with base.tar and data.tar, on 11 one COPY for each archive, without
//     the zero blocks at an archive's end.
//   - All else (IDENTIFY_SYSTEM, slots, TIMELINE_HISTORY, START_REPLICATION, and connections for SQL) is passed through.
//
// What PolarDB does differently from PostgreSQL, and where clients stumble, is there too: status files of WAL with names like
// "file-dio:///dir/pg_wal/archive_status/SEGMENT.done" (15), the same paths in both trees and twice in the manifest (15), members that start with
// "./", tablespaces marked as shared (11), stale files in the local tree (11), polar_fullpage files full of zeros, members of mode 0777
// and user 0 (PFS), an empty tablespace_map when one is asked for (15).
//
// Merge puts the two trees together again into a data directory that a real PostgreSQL starts from: what arrives can be proven by starting it.
package polardouble
