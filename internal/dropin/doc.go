// Package dropin runs a whole backup in one process: an embedded JetStream server or a connection to one, and all five stages, which talk
// through it as they would from five hosts. It is what polar_basebackup does after its command line is understood.
//
//  1. The source is asked what it is, so that what cannot work is refused before anything is written.
//  2. The target directory is looked at: new or empty (a new backup), or holding an interrupted one (which is continued, or cleaned up with
//     NoResume), or in use (refused).
//  3. The JetStream store is put below the marker directory inside of the target: it is on the file system that has to hold the data anyway,
//     it can be written when the target can, and it goes away with it.
//  4. The stages run until the event log says that the backup is complete.
//
// After a failure the directory is kept as it is, and the same command continues it; with NoResume what was created is removed.
package dropin
