// Package checkpoint is the stage that opens and closes sessions.
//
// With the stream source the server ties backup mode to the connection that carries the data, so the tablespace stage holds it. This stage then
//
//  1. identifies the server, refuses what cannot work, creates the slot that was asked for, and says in the event log what the others need
//     to know (prepared);
//  2. closes the session when all of it was read (session_stopped);
//  3. calls the backup complete when every target is a node (completed).
//
// With the files source (Files) it holds backup mode on a connection of its own:
//
//  1. It enters backup mode and notes the start point in the event log before anything is read.
//  2. It lists the source and puts ranges of large files, the largest first, and then bundles of small ones into the work queue.
//  3. It asks the session again and again whether it lives, until every item was acknowledged.
//  4. It reads pg_control, leaves backup mode, and publishes control file, label and manifest; then the end point goes into the event log.
//
// When the session is lost, or this process, the next session compares with what was delivered, or goes on with it (stitch) when that was asked for and the
// WAL in between allows it.
//
// kill -9 at any point: the next process looks at the event log and does the first step that is not there yet. A slot that was created before
// the log says so is recognised by its name.
package checkpoint
