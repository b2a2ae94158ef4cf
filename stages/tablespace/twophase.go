package tablespace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
)

// twoPhase leaves out files of transactions that were prepared after the start of the backup: replay makes them again, and PostgreSQL 17 and 18 lose
// the transaction when the file is in the copy (postgres.FutureTwoPhase). Targets of every format profit. Where the next transaction id of the start
// is not known here, the node stage removes them, from plain targets.
type twoPhase struct {
	log     *slog.Logger
	st      pipeline.State
	spill   string
	nextXID uint64 // 0: not known
	left    int
	made    *manifests
	told    bool
}

// xidTimeout bounds the question for the next transaction id: the backup has begun and waits.
const xidTimeout = 10 * time.Second

// needsXID reports whether the server is of a version that loses prepared transactions, and may have any.
func (s *Stage) needsXID(ctx context.Context, conn *postgres.Conn) bool {
	if postgres.Major(conn.ServerVersion()) < 17 || s.cfg.ConnectSQL == nil {
		return false
	}
	n, err := conn.Show(ctx, "max_prepared_transactions")
	return err == nil && n != "0"
}

// startXID asks the server for the next transaction id of the checkpoint that a backup begins with. It returns 0 where this role may not ask, and
// when there was another checkpoint already.
func (s *Stage) startXID(ctx context.Context, start postgres.LSN) uint64 {
	ctx, cancel := context.WithTimeout(ctx, xidTimeout)
	defer cancel()
	xid, err := s.askXID(ctx, start)
	if err != nil {
		s.cfg.Logger.Debug("the next transaction id of the backup's start is not known", "error", err)
	}
	return xid
}

func (s *Stage) askXID(ctx context.Context, start postgres.LSN) (uint64, error) {
	conn, err := s.cfg.ConnectSQL(ctx)
	if err != nil {
		return 0, err
	}
	defer postgres.CloseSQL(conn)
	res := conn.ExecParams(ctx, "SELECT redo_lsn, next_xid FROM pg_catalog.pg_control_checkpoint()", nil, nil, nil, nil).Read()
	if res.Err != nil {
		return 0, res.Err
	}
	if len(res.Rows) != 1 || len(res.Rows[0]) != 2 {
		return 0, errors.New("pg_control_checkpoint gave no row")
	}
	redo, err := postgres.ParseLSN(string(res.Rows[0][0]))
	if err != nil {
		return 0, err
	}
	if redo != start {
		return 0, fmt.Errorf("the backup starts at %s, and the last checkpoint at %s", start, redo)
	}
	epoch, xid, _ := strings.Cut(string(res.Rows[0][1]), ":")
	e, err1 := strconv.ParseUint(epoch, 10, 32)
	x, err2 := strconv.ParseUint(xid, 10, 32)
	return e<<32 | x, errors.Join(err1, err2)
}

// leave reports whether a file of the data directory is left out.
func (t *twoPhase) leave(path string) bool {
	name, ok := strings.CutPrefix(path, "pg_twophase/")
	if !ok || postgres.Major(t.st.Prepared.ServerVersion) < 17 {
		return false
	}
	if t.nextXID == 0 {
		if t.st.Requested.Options.Tar && !t.told {
			t.told = true
			t.log.Warn("a file of pg_twophase goes into the archive; if its transaction was prepared after the start of the backup, remove it from the copy before it is started",
				"file", path)
		}
		return false
	}
	if !postgres.FutureTwoPhase(name, t.nextXID) {
		return false
	}
	t.left++
	return true
}

// rewrite makes check put a manifest of its own in the place of the server's, when that lists what was left out.
func (t *twoPhase) rewrite(check *manifestCheck) error {
	if t.left == 0 || check.split != nil {
		return nil
	}
	var id uint64
	if _, err := fmt.Sscan(t.st.Prepared.SystemID, &id); err != nil {
		return fmt.Errorf("system identifier %q: %w", t.st.Prepared.SystemID, err)
	}
	f, err := os.CreateTemp(t.spill, "manifest-")
	if err != nil {
		return fmt.Errorf("could not create a temporary file for the backup manifest: %w", err)
	}
	_ = os.Remove(f.Name()) // the open descriptor keeps it
	tree := &treeManifest{file: f}
	t.made = &manifests{trees: [2]*treeManifest{messages.TreeLocal: tree}}
	tree.w, err = postgres.NewManifestWriter(f, postgres.ManifestOptions{Version: postgres.ManifestVersion(t.st.Prepared.ServerVersion), SystemID: id,
		ForceEncode: t.st.Requested.Options.Manifest == "force-encode"})
	check.split = t.made
	return err
}

// Close gives up the temporary file.
func (t *twoPhase) Close() error { return t.made.Close() }
