// Package stages holds what the five stages of the pipeline have in common. Each stage is a package of its own below this one:
//
//	checkpoint  prepares a session and closes it
//	tablespace  reads files and publishes them as chunks
//	wal         captures WAL
//	storage     writes chunks and WAL into a target
//	node        proves that a target is complete and turns it into a node
//
// A stage is a value with Run(ctx) error. It learns all it needs from the event log and its own configuration; two stages never share
// memory or a file, so that any of them may run in a process of its own, be killed, and be started again.
package stages
