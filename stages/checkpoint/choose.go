package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/stages/source"
)

// Wish says how a source is to be read, as a person asked for it.
type Wish struct {
	// Files insists on reading files, by whichever way; else only the way that costs the server least is taken.
	Files bool
	// Read is the way of reading files, "" for the best.
	Read string
	// Open says how this host would read; Dir and Read are filled in.
	Open source.Options
}

// Choice is a way of reading files.
type Choice struct {
	Read string // source.ReadPath, source.ReadPFS or source.ReadSQL
	Dir  string // the data directory on this host, but for source.ReadSQL
	Why  string // for people
}

// ChooseFiles returns the best way of reading a server's files from this host. An error says why there is none. Unless files were insisted on only
// path is chosen: by SQL a byte costs the server about twice what it costs by the base backup protocol.
func ChooseFiles(ctx context.Context, p *messages.Prepared, w Wish) (Choice, error) {
	conn, err := w.Open.Connect(ctx)
	if err != nil {
		return Choice{}, fmt.Errorf("no ordinary connection for backup mode: %w", err)
	}
	defer postgres.CloseSQL(conn)
	if err := MayHoldBackupMode(ctx, conn, p.ServerVersion); err != nil {
		return Choice{}, err
	}
	var notHere error
	if w.Read != source.ReadSQL {
		dir, err := LocalDir(ctx, conn, p)
		if err == nil && w.Read != source.ReadPFS {
			err = sharedHere(p)
		}
		switch {
		case err == nil && w.Read == source.ReadPFS:
			// Mounted for a moment, so that what stands in the way is told before anything is written.
			o := w.Open
			o.Read, o.Dir = source.ReadPFS, dir
			src, err := o.Open(ctx, p)
			if err != nil {
				return Choice{}, err
			}
			return Choice{Read: source.ReadPFS, Dir: dir, Why: "as it was asked for"}, src.Close()
		case err == nil:
			return Choice{Read: source.ReadPath, Dir: dir, Why: fmt.Sprintf("the server's data directory \"%s\" is on this host", dir)}, nil
		case w.Read != "" || !w.Files:
			return Choice{}, err
		}
		notHere = err
	}
	if err := source.MayRead(ctx, conn); err != nil {
		return Choice{}, errors.Join(notHere, err)
	}
	why := "the data directory is not readable on this host"
	if w.Read == source.ReadSQL {
		why = "as it was asked for"
	}
	return Choice{Read: source.ReadSQL, Why: why}, nil
}

// sharedHere checks that PolarDB's shared tree can be read by path.
func sharedHere(p *messages.Prepared) error {
	if p.Polar == nil || !p.Polar.SharedStorage {
		return nil
	}
	dir := source.PlainDir(p.Polar.DataDir)
	if strings.HasPrefix(p.Polar.DataDir, "file") && dir != "" {
		if f, err := os.Open(filepath.Join(dir, source.ControlFile)); err == nil {
			return f.Close()
		}
	}
	return fmt.Errorf("the server's shared data directory \"%s\" is not on this host", p.Polar.DataDir)
}
