// Package polarcast is what the commands of polarcast do after their flags are understood: sending a backup to named targets, receiving it on
// the host of one of them, single stages of both, and what people look at and steer a backup with.
//
//   - A [Sender] runs the stages of the source: checkpoint, tablespace and wal. The one with the checkpoint stage creates the backup, and removes
//     its streams when it is complete.
//   - A [Receiver] runs the stages of one target: storage and node.
//   - [View] folds the event log, the streams and the progress reports of all processes into one [Status].
//   - [Cancel], [Remove] and [SetLimit] steer a backup.
//
// Sender and Receiver may be started in any order, on any host, and as often as one likes: they share nothing but the event log. Killed and
// started again with the same options they go on where they were.
package polarcast
