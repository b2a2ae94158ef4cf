// Package node is the stage that proves that a target is complete and turns it into a node.
//
//  1. The auditor folds the index: what was published (parts and seals) and what the target holds durably (receipts). The target is complete
//     when everything that the last session published or found unchanged has a receipt.
//  2. What is still open when the target has nothing left to consume was lost in the stream. It is named in the event log, and the target is
//     not complete.
//  3. A complete target gets its configuration: parameters in postgresql.conf, recovery.conf or a signal file, and what must not be cloned goes
//     away. The manifests get their names; pg_control gets its name last.
//  4. When asked for, the node is started and watched until its source sees it stream, or until it has recovered.
//
// kill -9 at any point: each step looks first whether it is done. Until pg_control has its name no server starts on the target. A node that was
// started before the kill goes on running; the step that is done again finds it so and only watches. The label of the backup is kept beside
// until the start has succeeded, and put back when it has not.
package node
