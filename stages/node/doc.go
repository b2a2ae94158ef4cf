// Package node is the stage that proves that a target is complete and turns it into a node.
//
//  1. The auditor folds the index: what was published (parts and seals) and what the target holds durably (receipts). The target is complete
//     when everything that the last session published or found unchanged has a receipt.
//  2. What is still open when the target has nothing left to consume was lost in the stream. It is named in the event log, and the target is
//     not complete.
//  3. A complete target gets its recovery settings; its manifest gets its name; pg_control gets its name last.
//
// kill -9 at any point: each step looks first whether it is done. Until pg_control has its name no server starts on the target.
package node
