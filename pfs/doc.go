// Package pfs is the file system core: one interface, FS, over the local file system (Local) and over PFS, the file system of
// PolarDB's shared storage (Mount).
package pfs
