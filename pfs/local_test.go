package pfs_test

import (
	"testing"

	"polarcast/pfs"
	"polarcast/pfs/pfstest"
)

func TestLocalConformance(t *testing.T) {
	pfstest.Run(t, pfs.Local(), t.TempDir())
}
