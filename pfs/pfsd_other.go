//go:build !linux

package pfs

func pfsdRuns(string, string) (bool, string) { return false, "PFS runs on Linux only" }

func processLives(int) bool { return false }
