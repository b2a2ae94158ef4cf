// Package pipeline is everything that polarcast does with JetStream, and the only package that knows NATS: the embedded server, the
// streams of a backup, publishing with confirmed futures and back-pressure, durable consumers that acknowledge after durability, the
// event log with its fold, the index, leases, the work queue and progress reports.
//
// JetStream is used as a durable buffer, never as the proof that a target is complete: see docs/architecture.md.
//
// What the package promises:
//
//  1. A message whose done function was called without an error is in the stream. One that was refused (a full stream, a lost connection, a
//     restart of the server, a change of leaders) is sent again under its id until it is, or until it is clear that it never will be.
//  2. A message is delivered until it is acknowledged: again within ackWait when the process that held it was killed, at once when it closed
//     its Consumer. It may come twice, so what is done with it must be harmless when done twice.
//  3. Bytes in flight are bounded on both sides. A full stream slows publishers down and loses nothing.
//  4. Events are added by one writer at a time: State is only ever the fold of the log, and AppendIf decides on the state that the event follows.
//  5. A lease is given up by its holder before another takes it; the fence unmasks a holder that was stopped meanwhile.
//
// On kill -9 of a process nothing of this needs cleaning up. What it published without having been told so is told apart by id for half a
// minute, and stored twice after that, which is harmless.
package pipeline
