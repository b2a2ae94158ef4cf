// Package storage is the stage that writes a target: it takes records from the target's durable consumer, puts them where they belong, and
// acknowledges them after they are durable.
//
//  1. Messages are pulled, bounded by bytes. Each record is checked against its CRC32C and written by position, so that writing it twice is
//     harmless.
//  2. Messages are collected into a batch. When it is large, old, or nothing more comes, the batch is committed: its files and directories
//     are synchronised, receipts for what they hold are published into the index, and only then are the messages acknowledged. The next
//     batch is written while the last one is committed.
//  3. The stage ends when the node stage has found the target complete.
//
// Files of 1 MiB and more, and archives, go around the page cache of the target's host (O_DIRECT) in writes of 2 MiB, where the file system can do that:
// a copy that is larger than memory pushes nothing else out of it, and costs the kernel a third of the processor time. What is not synchronised
// (--no-sync) stays in the page cache, which is what its user wants.
//
// On PFS neighbouring writes are joined to 4 MiB, and a batch is committed after they are on the disk. The disk is mounted before the first write and
// given back at the end, however that comes; after kill -9 pfsd takes it back by itself.
//
// Any number of storage processes may serve one target; they compete for messages and know nothing of each other.
//
// kill -9 before a batch is committed: its messages are delivered again, to this process when it is started again or to another, and the same
// bytes are written again. After the receipts and before the acknowledgement: the same, and the receipts are published twice, which the node
// stage ignores. There is nothing to clean up at a start.
package storage
