// Package postgres speaks to a PostgreSQL or PolarDB server the way pg_basebackup does, and knows the files that a base backup is made of.
//
// The replication half holds: connection options with all of libpq's habits (ParseConfig), the connection (Connect), slots, the timeline
// history, BASE_BACKUP in its three shapes (Conn.BaseBackup), START_REPLICATION (Conn.StartReplication), UPLOAD_MANIFEST, and a push parser for
// the tar archives inside a base backup (TarReader).
//
// pgconn makes the connection: start-up, TLS negotiation, SCRAM with channel binding. Then the connection is taken over (hijacked) and
// messages are framed by this package over one buffer (wire): data of BASE_BACKUP is handed out as slices of that buffer, never copied, and a
// message of any length passes through it in pieces, so that memory does not depend on what the server says.
//
// Nothing here retries or reconnects: a lost connection is an error, and what to do about it is the caller's decision. Every method that takes a
// context closes the connection when the context ends in the middle of an exchange, since the protocol cannot be resumed from there.
package postgres
