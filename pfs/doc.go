// Package pfs is the file system core: one interface, FS, over the local file system (Local) and over PFS, the file system of PolarDB's shared
// storage (Mount). Every path that the stages write goes through it. Package pfstest has one conformance suite for both.
//
// # PFS
//
// PFS is reached through pfsd, a daemon that owns a block device (the PBD), by its client library libpfsd. The library is loaded when a PBD is
// mounted; programs run without it otherwise. What this package takes care of:
//
//   - A call moves at most 4 MiB.
//   - pfsd changes 4096-byte sectors by reading and writing them whole, without a lock. Writes whose offset and length are multiples of 4096
//     run in parallel, others are made one at a time for each file of this process. Nothing can protect a sector that two processes write:
//     the ragged end of a file must have one writer process. Chunks that are cut at multiples of 4096 need no such care.
//   - A process has one PBD. Mounts of the same one share it; a second one is refused, since the library would answer with success and use
//     the first.
//   - Before it mounts: pfsd must be alive (the lock on its pid file is probed), at most five other processes may have the PBD (pfsd serves
//     seven, and hangs for all when one more comes; one place is left to the database), and a pid file that an earlier process of this number
//     left is removed, on which the library would spin for ever.
//   - While pfsd is down, calls hang. They cannot be cancelled, and go on without loss when pfsd is back. A watchdog says so in the log.
//     Close then gives up after ten seconds; the mount ends with the process.
//   - The library's log lines come into our log.
//   - Files of PFS itself (/DISK/.pfs-*) are hidden, paths outside /DISK/ are refused, and directories are never opened as files.
//   - There is no statfs: PlanSpace, Capacity, Usage and CheckSpace tell before a copy whether it will fit. A file takes whole blocks of
//     4 MiB, and a PBD has 2048 inodes and 2048 directory entries for each 10 GiB.
//
// What it cannot take care of: a PBD that is written through the pfsd of a second host is destroyed, and neither PFS nor this package can see
// that host. Write only where all writers use one pfsd.
//
// # When a process is killed
//
// On PFS a write is there as a whole or not at all, and it is durable when the call returns; pfsd takes the mount and the host id of a killed
// process back by itself, in less than a second. If pfsd is killed, calls that ran are replayed when it is back; Mkdir, Rename, Remove and an
// exclusive Open may then say fs.ErrExist or fs.ErrNotExist although they were done.
package pfs
