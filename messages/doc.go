// Package messages defines the bytes that polarcast's stages exchange. It knows bytes and nothing else: no connection, no file, no clock.
//
// There are three formats, specified byte by byte in docs/messages.md:
//
//  1. Records describe files. A message of the chunk stream or of the index is one or more records, one after another. A record has a fixed
//     header, a path and a payload; a CRC32C guards header and path, another one the raw bytes of the payload (record.go, reader.go, part.go).
//  2. Receipts say what a target holds durably (receipt.go).
//  3. Events are the JSON records of a backup's log (event.go and event_*.go).
//
// Every decoder takes bytes from an untrusted place: it never panics, allocates no more than the length of its input and MaxChunkSize allow,
// and answers with an error that wraps one of the package's Err values. What it accepts is what it would write again.
//
// The encoders have no errors: they append to a slice that the caller owns, so that a message is built in one pooled buffer without copies.
// Nothing in the paths of the data (Compressor.AppendData, Reader.Next, Record.Decompress, PathKey, CombineCRC32C) allocates once its buffers
// have grown; a test holds them to that.
package messages
