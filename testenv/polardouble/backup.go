package polardouble

import (
	"errors"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5/pgproto3"
)

// backup answers one BASE_BACKUP. Errors of the real server go to the client; any other ends the connection.
func (s *session) backup(cmd backupCommand) {
	faults := s.d.takeFaults()
	if faults.Refuse {
		s.fail("55000", "WAL generated with full_page_writes=off was replayed since last restartpoint")
		return
	}
	err := s.runBackup(cmd, faults)
	var refused answered
	switch {
	case err == nil:
	case errors.As(err, &refused):
		s.client.Write(refused.message)
		s.client.send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	default:
		s.client.conn.Close()
	}
}

func (s *session) fail(code, text string) {
	s.client.send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: code, Message: text},
		&pgproto3.ReadyForQuery{TxStatus: 'I'})
}

func (s *session) runBackup(cmd backupCommand, faults Faults) error {
	if cmd.target != "client" {
		s.fail("0A000", "the double can send backups to the client only")
		return nil
	}
	dir, err := os.MkdirTemp(s.d.dir, "backup")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r, err := s.start(dir, cmd.sql)
	if r != nil {
		defer r.close()
	}
	if err != nil {
		return err
	}
	start, _, err := r.result()
	if err != nil {
		return err
	}
	for _, m := range start {
		if _, err := s.client.Write(m); err != nil {
			return err
		}
	}
	if _, r.rows, err = r.result(); err != nil {
		return err
	}
	if err := s.sendHeader(r, cmd); err != nil {
		return err
	}
	if err := r.receive(); err != nil {
		return err
	}
	o := &sender{s: s, faults: faults, progress: cmd.progress}
	if s.d.opts.NotShared {
		err = o.sendUnshared(r, cmd)
	} else {
		err = o.sendShared(r, cmd, dir)
	}
	if err != nil {
		return err
	}
	return s.finishBackup(r, faults)
}

// sendHeader sends the list of tablespaces: always four columns; the data directory, and then in shared mode the shared directory, come last.
func (s *session) sendHeader(r *backupRun, cmd backupCommand) error {
	msgs := []pgproto3.BackendMessage{&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
		column("spcoid", 26, 4), column("spclocation", 25, -1), column("size", 20, 8), column("shared_storage", 21, 2),
	}}}
	shared := !s.d.opts.NotShared
	var total int64
	for _, row := range r.rows {
		size, _ := strconv.ParseInt(string(row[2]), 10, 64)
		total += size
		switch {
		case row[0] == nil:
		case !shared:
			msgs = append(msgs, &pgproto3.DataRow{Values: [][]byte{row[0], row[1], row[2], nil}})
		case s.d.Major == 11:
			msgs = append(msgs, &pgproto3.DataRow{Values: [][]byte{row[0], row[1], sizeColumn(cmd, 0), []byte("1")}})
		}
	}
	if shared {
		msgs = append(msgs,
			&pgproto3.DataRow{Values: [][]byte{nil, nil, sizeColumn(cmd, min(total, 121)), nil}},
			&pgproto3.DataRow{Values: [][]byte{nil, nil, sizeColumn(cmd, total+3*s.d.opts.FullpageBytes/1024), []byte("1")}})
	} else {
		msgs = append(msgs, &pgproto3.DataRow{Values: [][]byte{nil, nil, r.rows[len(r.rows)-1][2], nil}})
	}
	msgs = append(msgs, &pgproto3.CommandComplete{CommandTag: []byte("SELECT")})
	if s.d.Major >= 15 {
		msgs = append(msgs, &pgproto3.CopyOutResponse{})
	}
	return s.client.send(msgs...)
}

// sizeColumn is NULL unless PROGRESS was asked for.
func sizeColumn(cmd backupCommand, kB int64) []byte {
	if !cmd.progress {
		return nil
	}
	return strconv.AppendInt(nil, kB, 10)
}

// sendShared sorts the archives into the two trees and sends them, the local one first.
func (o *sender) sendShared(r *backupRun, cmd backupCommand, dir string) error {
	m, err := readManifest(r.manifest)
	if err != nil {
		return err
	}
	local, err := newTree(dir, "local")
	if err != nil {
		return err
	}
	defer local.file.Close()
	shared, err := newTree(dir, "shared")
	if err != nil {
		return err
	}
	defer shared.file.Close()
	shared.lose = o.faults.LoseMember
	sp := &splitter{d: o.s.d, cmd: cmd, algorithm: m.algorithm(), local: local, shared: shared}
	if err := sp.split(r.archives); err != nil {
		return err
	}
	if o.s.d.Major == 11 {
		if err := o.sendEmptySpaces(r); err != nil {
			return err
		}
	}
	for _, part := range []struct {
		t    *tree
		name string
	}{{local, "base.tar"}, {shared, "data.tar"}} {
		if err := part.t.w.Flush(); err != nil {
			return err
		}
		info, err := part.t.file.Stat()
		if err != nil {
			return err
		}
		size := info.Size()
		if o.faults.Tear && part.t == shared {
			size -= size / 3
		}
		if err := o.archive(part.name+suffix(cmd.compression), "", cmd.compression, part.t.file, size); err != nil {
			return err
		}
	}
	if m == nil {
		return nil
	}
	return o.manifest(buildManifest(m, cmd.encode, local, shared))
}

// manifest sends the manifest, which is not archive data.
func (o *sender) manifest(text []byte) error {
	if err := o.s.client.send(&pgproto3.CopyData{Data: []byte{'m'}}); err != nil {
		return err
	}
	for len(text) > 0 {
		n := min(len(text), pieceSize)
		if err := o.s.client.send(&pgproto3.CopyData{Data: append([]byte{'d'}, text[:n]...)}); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// finishBackup sends the end position, or after it the error that damaged pages give.
func (s *session) finishBackup(r *backupRun, faults Faults) error {
	if faults.ChecksumFailure {
		if err := s.client.send(&pgproto3.NoticeResponse{Severity: "WARNING", SeverityUnlocalized: "WARNING", Code: "01000",
			Message: `checksum verification failed in file "` + s.d.DataDir + `/base/5/16393", block 0: calculated 2A84 but expected 4EC5`}); err != nil {
			return err
		}
	}
	if s.d.Major >= 15 {
		if err := s.client.send(&pgproto3.CopyDone{}); err != nil {
			return err
		}
	}
	for _, m := range r.tail {
		if _, err := s.client.Write(m); err != nil {
			return err
		}
		if faults.ChecksumFailure && m.kind() == 'C' {
			s.fail("XX001", "checksum verification failure during base backup")
			return nil
		}
	}
	return s.client.send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
}
