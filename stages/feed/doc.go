// Package feed is the publishing half of the tablespace and wal stages: bytes of files go in, in order; records, parts and seals come out.
//
//  1. The caller announces a file, writes its bytes and ends it. Bytes are collected into slabs of a few chunks (a job).
//  2. Workers hash, compare with what an earlier session delivered, and compress; each job becomes one message.
//  3. The sequencer publishes the messages in the order in which their bytes were read, and computes each file's checksum.
//  4. The ledger waits for JetStream's confirmation and only then publishes the parts and seals of a job into the index. A part in the index
//     thus means that its chunks are durable in the stream, or written by every target.
//
// If the process is killed at any point, chunks may be in the stream that no part speaks of. They are harmless: they are written by
// position, and the next session publishes them again.
package feed
