// Package pipeline is everything that polarcast does with JetStream, and the only package that knows NATS: the embedded server, the
// streams of a backup, publishing with confirmed futures and back-pressure, durable consumers that acknowledge after durability, the
// event log with its fold, the index, leases and progress reports.
//
// JetStream is used as a durable buffer, never as the proof that a target is complete: see docs/architecture.md.
package pipeline
