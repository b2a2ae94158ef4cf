package stages_test

import (
	"bytes"
	"os"
	"testing"

	"polarcast/stages/source"
	"polarcast/testenv"
)

// TestFilesDamagedPage changes a byte of two pages on disk, all of a third, which then looks younger than the start of the backup, and loses the first half
// of a fourth, which then looks like one that was never initialized: the backup is complete, and says which pages are damaged.
func TestFilesDamagedPage(t *testing.T) {
	t.Parallel()
	for read, majors := range map[string][]int{source.ReadPath: {14}, source.ReadSQL: {18}} {
		t.Run(read, func(t *testing.T) {
			testenv.SomeMajors(t, majors, func(t *testing.T, major int) {
				srv := testenv.Start(t, major, testenv.Options{Checksums: true})
				srv.Exec("CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 20000) g", "CHECKPOINT")
				var path string
				srv.QueryRow("SELECT pg_relation_filepath('t')", &path)
				srv.Stop(testenv.Fast)
				f, err := os.OpenFile(srv.Path(path), os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 1)
				for _, page := range []int64{3, 77} {
					if _, err := f.ReadAt(b, page*8192+5000); err != nil {
						t.Fatal(err)
					}
					b[0]++
					if _, err := f.WriteAt(b, page*8192+5000); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := f.WriteAt(bytes.Repeat([]byte{0xA5}, 8192), 100*8192); err != nil {
					t.Fatal(err)
				}
				if _, err := f.WriteAt(make([]byte, 4096), 120*8192); err != nil {
					t.Fatal(err)
				}
				f.Close()
				srv.Start()
				r := newRig(t, srv, rigOptions{read: read})
				r.writers()
				r.reader(2, nil)
				r.checkpoint()
				st := r.completed()
				if n := st.Session().ReadDone.ChecksumFailures; n != 4 {
					t.Errorf("%d damaged pages were reported, want 4", n)
				}
				want, _ := os.ReadFile(srv.Path(path))
				got, _ := os.ReadFile(r.dir + "/" + path)
				if string(want) != string(got) {
					t.Error("the file was not copied as it is")
				}
			})
		})
	}
}
