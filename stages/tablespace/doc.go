// Package tablespace is the stage that reads the files of the source and publishes them.
//
// With the stream source it runs BASE_BACKUP, and so holds the session too:
//
//  1. It waits for the checkpoint stage to prepare the session and for the wal stage to have a slot.
//  2. If an earlier session was lost, it waits until every target has written what that one published, so that two sessions never write
//     the same bytes in the wrong order, and loads from the index what was delivered.
//  3. It sends BASE_BACKUP, notes the start point in the event log, cuts the archives into files and the files into chunks, and publishes
//     what is not delivered yet.
//  4. It compares size and checksum of every file with the server's manifest.
//  5. What earlier sessions delivered and this one no longer lists is published as removals. Then the end point goes into the event log.
//
// PolarDB in shared-storage mode sends a local and a shared tree and one manifest for both: each tree gets a manifest of its own. Fetched WAL is
// streamed after the files. For a replica the shared tree is left out: the local one is read over SQL, or the base backup is cut where the shared one begins.
//
// With the files source (Files) any number of processes take items from the work queue, read them, check their pages, publish what they read, and acknowledge
// an item when all of it is in the index. kill -9 of one of them: its items are delivered to another, which waits until the targets have written what
// the dead one had sent, and reads only what is not in the index.
//
// With the stream source, kill -9 at any point loses the server's session, and nothing else: the next process finds a session without an end, marks it lost, and
// starts another, which publishes only what differs. Chunks that were published but not yet named by a part are published again.
package tablespace
