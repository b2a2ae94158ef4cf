// Package verify holds a copy of a server against its backup_manifest, by the rules of pg_verifybackup (src/bin/pg_verifybackup):
//
//  1. The manifest must be whole: its own checksum has to fit.
//  2. Every file in the directory must be in the manifest, with the size that it has there, and every file of the manifest in the directory.
//     Left out are pg_wal, the manifest itself, postgresql.auto.conf, recovery.signal and standby.signal, which a new node gets of its own, and
//     what the caller names.
//  3. Every file must have the checksum that the manifest has for it, of whichever algorithm.
//
// PolarDB 15 writes one manifest for two trees, in which a path may stand twice: there a file of either tree may stand for either entry.
package verify
