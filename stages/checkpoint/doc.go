// Package checkpoint is the stage that opens and closes sessions.
//
// With the stream source the server ties backup mode to the connection that carries the data, so the tablespace stage holds it. This stage then
//
//  1. identifies the server, refuses what cannot work, creates the slot that was asked for, and says in the event log what the others need
//     to know (prepared);
//  2. closes the session when all of it was read (session_stopped);
//  3. calls the backup complete when every target is a node (completed).
//
// kill -9 at any point: the next process looks at the event log and does the first step that is not there yet. A slot that was created before
// the log says so is recognised by its name.
package checkpoint
