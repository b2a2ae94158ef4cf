//go:build !linux

package pfs

import "os"

func allocate(f *os.File, off, n int64) error { return extend(f, off+n) }

func startSync(*os.File, int64, int64) error { return nil }

func syncFS(d *os.File) error { return d.Sync() }
