package polardouble

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sharedDirs are the parts of a data directory that polar-initdb.sh moves to the shared tree.
var sharedDirs = map[string]bool{
	"base": true, "global": true, "pg_tblspc": true, "pg_wal": true, "pg_logindex": true, "pg_twophase": true,
	"pg_xact": true, "pg_commit_ts": true, "pg_multixact": true,
}

// cachedDirs are kept in both trees: the local ones are caches.
var cachedDirs = map[string]bool{"pg_xact": true, "pg_commit_ts": true, "pg_multixact": true}

// tree is an archive that is being made, and what is in it.
type tree struct {
	file  *os.File
	w     *bufio.Writer
	files []*manifestFile
	lose  string
}

func newTree(dir, name string) (*tree, error) {
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	return &tree{file: f, w: bufio.NewWriterSize(f, 256<<10)}, nil
}

// add writes a member and takes note of it for the manifest.
func (t *tree) add(h *header, body io.Reader, algorithm string) error {
	if h.kind() != '0' && h.kind() != 0 {
		return writeMember(t.w, h, nil)
	}
	f := &manifestFile{path: strings.TrimPrefix(h.name(), "./"), size: h.size(), modified: time.Unix(h.octal(136, 12), 0)}
	sum := newSum(algorithm)
	if sum != nil {
		body = io.TeeReader(body, sum)
	}
	if h.name() == t.lose && t.lose != "" {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
	} else if err := writeMember(t.w, h, body); err != nil {
		return err
	}
	if sum != nil {
		f.algorithm, f.sum = algorithm, sum.Sum(nil)
	}
	t.files = append(t.files, f)
	return nil
}

// splitter sorts the members of the real server's archives into the two trees.
type splitter struct {
	d             *Double
	cmd           backupCommand
	algorithm     string
	local, shared *tree
	label         []byte
	control       []byte // global/pg_control is held back to be the last file
	controlHead   *header
	late          []lateMember // WAL, which follows pg_control
	oids          map[string]bool
}

type lateMember struct {
	h    *header
	body []byte
}

// split reads all archives, the data directory's first, and writes the trees.
func (s *splitter) split(archives []archive) error {
	s.oids = map[string]bool{}
	for _, spaces := range []bool{false, true} {
		for _, a := range archives {
			if (a.oid != "") != spaces {
				continue
			}
			if _, err := a.file.Seek(0, io.SeekStart); err != nil {
				return err
			}
			in := bufio.NewReaderSize(a.file, 256<<10)
			if err := readTar(in, func(h *header, body io.Reader) error { return s.member(a, h, body) }); err != nil {
				return err
			}
		}
	}
	return s.finish()
}

func (s *splitter) member(a archive, h *header, body io.Reader) error {
	name := strings.TrimPrefix(h.name(), "./")
	if a.oid != "" {
		return s.tablespaceMember(a, h, body)
	}
	top, rest, _ := strings.Cut(name, "/")
	switch {
	case name == "tablespace_map" && s.d.Major == 15 && s.cmd.tablespaceMap:
		// 15 in shared mode: there, and empty.
		h.setSize(0)
		return s.local.add(h, strings.NewReader(""), s.algorithm)
	case name == "backup_label":
		data, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		s.label = data
		return s.local.add(h, bytes.NewReader(data), s.algorithm)
	case h.kind() == '2': // a tablespace's link
		return s.local.add(h, nil, "")
	case !sharedDirs[top]:
		return s.local.add(h, body, s.algorithm)
	case name == "global/pg_control":
		s.controlHead = h
		var err error
		s.control, err = io.ReadAll(body)
		return err
	case top == "pg_wal" && h.kind() != '5':
		data, err := io.ReadAll(body)
		s.late = append(s.late, lateMember{h, data})
		return err
	}
	if err := s.cached(top, rest, h, &body); err != nil {
		return err
	}
	return s.addShared(h, body)
}

// cached adds what the local tree has of a shared member: caches, empty database directories, and on 11 files that initdb left.
func (s *splitter) cached(top, rest string, h *header, body *io.Reader) error {
	copyHead := *h
	switch {
	case h.kind() == '5' && top != "pg_wal":
		return s.local.add(&copyHead, nil, "")
	case h.kind() == '5':
		return nil
	case cachedDirs[top]:
		data, err := io.ReadAll(*body)
		if err != nil {
			return err
		}
		*body = bytes.NewReader(data)
		return s.local.add(&copyHead, bytes.NewReader(data), s.algorithm)
	case s.d.Major == 11 && (top == "global" || strings.HasPrefix(rest, "1/")):
		// polar-initdb.sh of 11 leaves initdb's files where they are. Whoever reads these is wrong.
		stale := bytes.Repeat([]byte("stale!!\n"), 1024)
		copyHead.setSize(int64(len(stale)))
		return s.local.add(&copyHead, bytes.NewReader(stale), s.algorithm)
	}
	return nil
}

func (s *splitter) addShared(h *header, body io.Reader) error {
	if s.d.opts.PFS {
		h.setMode(0o777, 0)
	}
	return s.shared.add(h, body, s.algorithm)
}

// tablespaceMember puts a tablespace's files where PolarDB has them: below pg_tblspc/OID of the shared tree.
func (s *splitter) tablespaceMember(a archive, h *header, body io.Reader) error {
	if s.d.Major == 15 && s.cmd.tablespaceMap {
		return nil // lost: never ask 15 for a tablespace map in shared mode
	}
	if !s.oids[a.oid] {
		s.oids[a.oid] = true
		if err := s.addShared(newHeader("pg_tblspc/"+a.oid+"/", '5', 0), nil); err != nil {
			return err
		}
	}
	h.setName("pg_tblspc/" + a.oid + "/" + h.name())
	return s.addShared(h, body)
}
