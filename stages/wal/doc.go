// Package wal is the stage that captures the WAL that a backup needs.
//
//  1. It opens a replication connection and makes sure that a slot holds the WAL: the one that was named, or a temporary one of its own.
//  2. When a session has started, it streams from the beginning of the segment of the start LSN, or from where an earlier process stopped,
//     and publishes the bytes by segment and offset.
//  3. It reports a position to the server as flushed only after JetStream holds all WAL before it, so that the slot never lets go of WAL that
//     could still be lost.
//  4. At the session's end LSN it seals the last segment and says in the event log what was captured.
//
// A lost connection is made again, and streaming continues at the last durable position. If the server no longer has that WAL, the stage
// fails by name: a target with a gap in its WAL is never called complete.
//
// kill -9 at any point: the next process finds in the index up to where WAL is durable, and continues there. With a temporary slot the server
// may have removed that WAL in between, which is said.
package wal
